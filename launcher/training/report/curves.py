"""What a run's curves are called, in TensorBoard as in other trackers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.recipe.metrics import figures

RESULT = "weights chosen"
"""The group of the metrics of the weights that the run ends with."""
SPEED = ("epoch", "examples_per_second")
BESIDE = ("kind", "step", "attempt", "time")


def of_step(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The points of a logged step."""
    named = ((name, value) for name, value in numbers.items() if name not in BESIDE)
    return {f"{'working speed' if name in SPEED else 'train'}/{name}": value for name, value in named}


def of_evaluation(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Those of an evaluation on the validation split."""
    return {f"validation/{name}": value for name, value in figures(metrics).items()}


def of_result(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Those of the weights that the run ends with, `{"validation": …, "test": …}`."""
    splits = ((split, figures(metrics.get(split) or {})) for split in ("validation", "test"))
    return {f"{RESULT}/{split}_{name}": value for split, numbers in splits for name, value in numbers.items()}
