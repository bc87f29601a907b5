"""Folders of runs that no training has made: as many and as odd ones as a test of screens wants."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from launcher.json_files import write_json
from launcher.runs.run_folder import RunFolder


def made(runs: Path, name: str, minute: int, values: dict[str, Any], outcome: dict[str, Any] | None) -> RunFolder:
    """A run with these values in its recipe, which ended so, or has not ended."""
    folder = RunFolder((runs / name).resolve())
    attempt = folder.attempt(1)
    attempt.path.mkdir(parents=True)
    write_json(folder.plan, {"steps": 100, "strategy": "ddp", "world_size": 2, "recipe": "/x.py"})
    os.utime(folder.plan, (minute * 60, minute * 60))
    told = {"training.select_by": "accuracy", **values}
    write_json(folder.recipe, {"values": {dotted: {"value": value} for dotted, value in told.items()}})
    write_json(attempt.origin, {"continues": None})
    if outcome is not None:
        write_json(attempt.outcome, outcome)
    return folder


def finished(validation: float, test: float, **more: Any) -> dict[str, Any]:
    """The outcome of a run that reached these accuracies."""
    metrics = {"validation": {"accuracy": validation, "loss": 1.0}, "test": {"accuracy": test, "loss": 1.0}}
    return {"status": "finished", "steps": 100, "metrics": metrics, **more}
