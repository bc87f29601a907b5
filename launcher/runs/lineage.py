"""Which steps of which attempt count: the fence around a run (docs/decisions/010-fencing.md).

Before it trains, every attempt writes down which checkpoint it goes on from: a step, and the attempt that made it.
From the newest attempt backwards these records are a chain. Whatever an attempt wrote after the step at which the next
one branched off is ignored, whenever it was written: also by an attempt that is cut off and does not know it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Lineage:
    """The attempts whose work counts, each with the last step of it that does."""

    last: Mapping[int, float] = field(default_factory=dict)

    def holds(self, attempt: int, step: int) -> bool:
        """Whether that step of that attempt counts."""
        return step <= self.last.get(attempt, -1)


def origin(attempt: int, step: int) -> dict[str, int]:
    """How an attempt names the checkpoint that it goes on from."""
    return {"attempt": attempt, "step": step}


def follow(origins: Iterable[tuple[int, dict[str, Any] | None]]) -> Lineage:
    """The chain that ends with the newest attempt that has recorded where it comes from.

    `origins` are the attempts' numbers with their records, `{"continues": None}` for one that began from the start.
    """
    last: dict[int, float] = {}
    wanted, limit = None, math.inf
    for number, record in sorted(origins, key=lambda pair: -pair[0]):
        if record is None or wanted not in (None, number):
            continue
        last[number] = limit
        source = record["continues"]
        if source is None:
            break
        wanted, limit = int(source["attempt"]), int(source["step"])
    return Lineage(last)
