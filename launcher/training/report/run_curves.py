"""The curves of several runs in one figure, from their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launcher.errors import BackendError
from launcher.recipe.metrics import finite_number
from launcher.runs.run_folder import RunFolder
from launcher.training.report.figures import save
from launcher.training.report.fonts import fonts_for
from launcher.training.report.result_figures import curves_figure

MOST_POINTS = 2000
"""Of longer curves evenly spread points are drawn."""


def draw_curves(runs: list[str], metric: str | None, folder: str, name: str = "curves") -> dict[str, list[str]]:
    """Write `NAME.png` below `folder`: loss and `metric` over steps. `{"figures", "notes"}`.

    Raises DataError where it cannot be written.
    """
    path = Path(folder) / f"{name}.png"
    curves, damaged = {}, []
    for run in map(RunFolder, map(Path, runs)):
        try:
            curves[run.name] = curves_of(run, metric or "")
        except BackendError as error:
            damaged.append(f"{run.name} is not drawn: {error.problems[0].what} ({error.problems[0].where})")
    save(curves_figure(curves, metric or ""), path)
    note = fonts_for([*curves, metric or ""]).note()
    return {"figures": [str(path)], "notes": [*([note] if note else []), *damaged]}


def curves_of(run: RunFolder, metric: str) -> dict[str, list[Any]]:
    """What counts of a run: `{"steps", "loss", "evaluated", "metric"}`."""
    events = [event for event in run.events_so_far() if finite_number(event.get("loss")) is not None]
    events = events[:: max(1, len(events) // MOST_POINTS)]
    evaluated = [line for line in run.evaluations_so_far() if finite_number(line.get(metric)) is not None]
    return {
        "steps": [event["step"] for event in events],
        "loss": [event["loss"] for event in events],
        "evaluated": [line["step"] for line in evaluated],
        "metric": [line[metric] for line in evaluated],
    }
