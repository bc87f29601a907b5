"""A task's metrics as numbers: which count, which is better, and how they are written.

A metric may have no value: a correlation of equal answers, a loss that overflowed, one that a user's own task left out.
It is None then, in memory and in files (docs/decisions/023-metrics-without-a-value.md); NaN and infinity mean the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from launcher.recipe.declared import Better

NO_METRICS = ("classes", "examples", "written", "texts", "step", "attempt", "time")
"""What stands beside the metrics of an evaluation."""
WITHOUT_VALUE = "-"


def finite_number(value: Any) -> float | None:
    """The value as a finite float; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer beyond what a float holds
        return None


def figures(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """The overall numbers of an evaluation, also those without a value."""
    wanted = ((name, value) for name, value in metrics.items() if name not in NO_METRICS)
    return {name: finite_number(value) for name, value in wanted if value is None or isinstance(value, float)}


def written(value: Any) -> str:
    """A metric in a table: `0.8611`, or `-` without a value."""
    number = finite_number(value)
    return WITHOUT_VALUE if number is None else f"{number:.4f}"


def improves(value: float | None, best: float | None, better: Better) -> bool:
    """Whether an evaluation of this value replaces the best one so far.

    Until one has a value the newest counts: a run that never has one keeps its last weights.
    """
    if best is None or value is None:
        return best is None
    return value > best if better == "max" else value < best


def chosen(evaluations: Iterable[Mapping[str, Any]], metric: str, better: Better) -> Mapping[str, Any] | None:
    """The evaluation that a run selects; None where there is none."""
    best: Mapping[str, Any] | None = None
    for evaluation in evaluations:
        if best is None or improves(finite_number(evaluation.get(metric)), finite_number(best.get(metric)), better):
            best = evaluation
    return best
