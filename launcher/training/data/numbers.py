"""The numbers of a task whose answer is one: how a cell holds one, and what the report gives of them.

0.5   3   1e-3   "-2"        a number, kept as it is written
3,5   nan   1e99   three     refused: not a number, or one that training cannot compute with
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from launcher.training.data.examples import Row

WRITTEN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"-?\d+(?:\.0*)?")
LONGEST = 12
"""Characters of a whole number that is a place in a text."""
WITH_COMMA = re.compile(r"[+-]?\d+(?:[,.]\d+)+", re.ASCII)
LARGEST = 3.4028234663852886e38
"""What float32 holds, in which the loss is taken."""
SHOWN = 60
"""Characters of a cell that a message shows."""
ALONE = "write one number alone, as 0.5, 3 or 1e-3"


def number_of(value: Any) -> str | None:
    """The number as text, as it is written; None where there is none."""
    if isinstance(value, str):
        written = value.strip()
        return written if WRITTEN.fullmatch(written) and _fits(written) else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return str(value) if _fits(value) else None


def whole_number(value: Any) -> int | None:
    """The value as a whole number, also where it is written as text or (by pandas, beside empty cells) as `12.0`."""
    if isinstance(value, str) and len(value) < LONGEST and WHOLE.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def fault_of(value: Any, kind: str) -> tuple[str, str]:
    """What is wrong with a cell that `number_of` gives nothing for, and what to do. `kind` says what it is."""
    if isinstance(value, str) and value.strip():
        written = value.strip()[:SHOWN]
        if WITH_COMMA.fullmatch(written):
            return f"{written!r} is not a number", "write decimals after a point, as 3.5, and nothing between thousands"
        if WRITTEN.fullmatch(written):
            return _too_large(written)
        finite = written.lstrip("+-").casefold() not in ("nan", "inf", "infinity")
        return f"{written!r} is not a {'' if finite else 'finite '}number", ALONE
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return f"the answer is {kind}, not a number", ALONE
    if isinstance(value, int) or math.isfinite(value):
        return _too_large(f"{Decimal(value):.3g}")
    return f"{value} is not a finite number", ALONE


def spread(rows: Sequence[Row]) -> dict[str, float]:
    """The least, the mean and the most of the rows' numbers."""
    numbers = [float(number) for row in rows for number in row.labels] or [0.0]
    return {"least": min(numbers), "mean": math.fsum(numbers) / len(numbers), "most": max(numbers)}


def _fits(value: Any) -> bool:
    try:
        return abs(float(value)) <= LARGEST  # NaN is not
    except OverflowError:  # a whole number beyond what a float holds
        return False


def _too_large(shown: str) -> tuple[str, str]:
    return f"{shown} is larger than training can compute with ({LARGEST:.1e})", "give the column another scale"
