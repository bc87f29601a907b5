"""A finished run's model as Python code holds it: `launcher.load(run)`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, Problem
from launcher.runs.run_folder import find

ABOUT = "launcher.json"
"""What every model folder of ours has: the recipe and the labels."""


def model_folder(run: str | Path, runs: str | Path = "runs") -> Path:
    """The model of the run of that name under `runs`, or at that path; or a model folder, wherever it came from.

    Raises BackendError where there is none, the run has not finished, or its name is no text.
    """
    for here in (Path(runs) / run, Path(run)):
        with contextlib.suppress(OSError):  # too long for a name
            if (here / ABOUT).is_file() and not (here / "plan.json").is_file():
                return _in_utf8(here.resolve())
    folder = find(run, runs)
    outcome = folder.ended()
    status = outcome["status"] if outcome else "not ended"
    if not folder.model.is_dir() or status != "finished":
        do = "resume it first" if status != "finished" else "its folder model/ was taken away: train it again"
        raise BackendError(Problem(f"run {folder.name} has no proven model (status: {status})", str(folder.path), do))
    return _in_utf8(folder.model)


def called(folder: Path) -> str:
    """What to call the model in a folder: the run that it is of, or the folder's own name."""
    return folder.parent.name if folder.name == "model" else folder.name


def _in_utf8(folder: Path) -> Path:
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        what = "a model's folder is read by libraries that take names in UTF-8 only"
        do = "export LANG=C.UTF-8 PYTHONUTF8=1 where names look right elsewhere; else rename the folder"
        raise BackendError(Problem(what, ascii(str(folder)), do)) from None
    return folder


class Model:
    """Read once and kept, on the CPU. `labels` are those that it can answer with."""

    def __init__(self, folder: Path, labels: tuple[str, ...], work: Mapping[str, Callable[..., Any]]):
        self.folder, self.labels = folder, labels
        self._work = work

    def __repr__(self) -> str:
        return f"<model of {self.folder}: {len(self.labels)} labels>"

    def predict(self, texts: Any, top: int | None = None) -> list[dict[str, Any]]:
        """What it says of each text or pair of texts: see `launcher.predict`."""
        answers: list[dict[str, Any]] = self._work["predict"](texts, top)
        return answers

    def answers(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """The answers to a request of `launcher predict`."""
        answers: list[dict[str, Any]] = self._work["answers"](request)
        return answers

    def evaluate(self, data: str | Path | None = None) -> dict[str, Any]:
        """Its metrics on the run's test split, or on a file of the same kind: see `launcher.evaluate`."""
        metrics: dict[str, Any] = self._work["evaluate"](None if data is None else str(data))
        return metrics
