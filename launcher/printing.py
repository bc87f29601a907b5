"""The plain lines that a rank's log and the command line both print; data rows in them never steer a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.errors import printable
from launcher.json_files import finite
from launcher.recipe.metrics import figures, written

STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON leaves as it is, and a terminal may obey: DEL, C1 controls, line and direction marks."""


def one_line(text: str) -> str:
    """A text from the data on one line: control characters, line ends and tabs are escaped."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def json_line(value: Any) -> str:
    """A value as one line of JSON, Chinese as it is, nothing that a terminal obeys."""
    text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False)
    return STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def is_step(event: dict[str, Any]) -> bool:
    """Whether it is a whole line of a logged step: a damaged one is not shown."""
    names = ("step", "attempt", "loss", "learning_rate", "examples_per_second", "time")
    return all(isinstance(event.get(name), int | float) for name in names)


def step_line(event: dict[str, Any], steps: int) -> str:
    """The line of one logged step."""
    rate = f"{event['examples_per_second']:.1f} examples/s"
    return f"step {event['step']}/{steps}  loss {event['loss']:.4f}  learning rate {event['learning_rate']:.2e}  {rate}"


def evaluation_line(step: int, steps: int, metrics: dict[str, Any]) -> str:
    """The line of one evaluation on the validation split."""
    return f"step {step}/{steps}  validation  {numbers(metrics)}"


def clock(seconds: float) -> str:
    """`1:05` or `2:00:09`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def numbers(metrics: Mapping[str, Any]) -> str:
    """`accuracy 0.8611  loss 0.3402`."""
    return "  ".join(each_number(metrics))


def each_number(metrics: Mapping[str, Any]) -> list[str]:
    """`accuracy 0.8611` for each metric; one without a value is `undefined`."""
    values = figures(metrics).items()
    return [f"{one_line(name)} {'undefined' if value is None else written(value)}" for name, value in values]


def export_cells(rows: Sequence[Mapping[str, Any]], metric: str) -> list[list[str]]:
    """How each format of an export answered the test split: names of columns, then a row each."""
    metrics = [metric, *(name for name in rows[0] if name not in OF_EXPORTS and name != metric)]
    writes = "tokens_per_second" in rows[0]
    cells = [["format", "MB", *metrics, "largest difference", "equal answers", "CPU ms p50", "p95", "rows/s"]]
    cells[0] += ["equal texts", "tokens/s"] if writes else []
    for row in rows:
        apart, equal = row.get("largest_difference"), row.get("equal_answers")
        told = [row["format"], f"{row['bytes'] / 1e6:.1f}"]
        told += ["-" if row[name] is None else written(row[name]) for name in metrics]
        told += ["" if apart is None else f"{apart:.1g}", "" if equal is None else f"{100 * equal:.1f} %"]
        times = (("cpu_ms_p50", ".2f"), ("cpu_ms_p95", ".2f"), ("rows_per_second", ",.0f"))
        told += ["" if row[name] is None else format(row[name], shape) for name, shape in times]
        if writes:
            same = f"{100 * row['equal_texts']:.1f} % of {row['texts']}" if "equal_texts" in row else ""
            told += [same, f"{row['tokens_per_second']:,.0f}"]
        cells.append(told)
    return cells


OF_EXPORTS = frozenset(
    (
        *("format", "bytes", "largest_difference", "equal_answers", "equal_texts", "texts"),
        *("cpu_ms_p50", "cpu_ms_p95", "rows_per_second", "tokens_per_second"),
    )
)
"""What is known of every format besides metrics."""
