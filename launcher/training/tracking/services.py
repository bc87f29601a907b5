"""Services, through accelerate's tracker classes; the package of each is the user's own.

A run keeps its place there when it goes on: what it was called is kept in its folder (`Place`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from launcher.recipe.metrics import finite_number
from launcher.runs.feed import EVALUATION, STEP
from launcher.training.report import curves

PROJECTS = {"mlflow": "MLFLOW_EXPERIMENT_NAME", "swanlab": "SWANLAB_PROJECT", "trackio": "TRACKIO_PROJECT"}
"""Where each service's own variable for the project is called otherwise than WANDB_PROJECT."""


@dataclass
class Place:
    """Where a run stands in a service: its project and name there, and its number, which the service may give."""

    project: str
    run: str
    number: str | None = None


class Service:
    """One service. Opening it goes on in `place`, and fills its number in."""

    def __init__(self, name: str, place: Place):
        from accelerate.state import PartialState

        PartialState(cpu=True)  # accelerate's classes ask which rank this is: the only one
        project = os.environ.get(PROJECTS.get(name, f"{name.upper()}_PROJECT"), place.project)
        self.tracker = _tracker(name, project, place)
        self.tracker.start()
        if name == "mlflow":
            place.number = str(self.tracker.tracker.info.run_id)

    def config(self, config: Mapping[str, Mapping[str, Any]]) -> None:
        """Tell it what the run is."""
        named = {f"{of}.{name}": value for of, values in config.items() for name, value in values.items()}
        plain = {
            name: value if isinstance(value, bool | int | float | str) else json.dumps(value, ensure_ascii=False)
            for name, value in named.items()
        }
        self.tracker.store_init_configuration(plain)

    def event(self, event: Mapping[str, Any]) -> None:
        """Tell it of a step, an evaluation or the result; what has no value leaves a gap."""
        match event["kind"]:
            case kind if kind == STEP:
                values = curves.of_step(event)
            case kind if kind == EVALUATION:
                values = curves.of_evaluation(event)
            case _:
                values = curves.of_result(event.get("metrics") or {}) if event.get("status") == "finished" else {}
        numbers = {name: value for name, value in values.items() if finite_number(value) is not None}
        if numbers:
            self.tracker.log(numbers, step=event["step"])

    def close(self) -> None:
        """All has been told for now."""
        self.tracker.finish()


def _tracker(name: str, project: str, place: Place) -> Any:
    from accelerate import tracking

    if name == "mlflow":
        return tracking.MLflowTracker(project, run_id=place.number, run_name=place.run)
    place.number = place.number or uuid4().hex
    going_on = {"name": place.run, "resume": "allow"}
    match name:
        case "wandb":
            return tracking.WandBTracker(project, id=place.number, **going_on)
        case "swanlab":
            return tracking.SwanLabTracker(project, id=place.number[:21], **going_on)
        case "trackio":  # it knows runs by their names
            return tracking.TrackioTracker(project, **{**going_on, "name": f"{place.run}-{place.number[:6]}"})
    raise ValueError(f"there is no tracker {name!r}")
