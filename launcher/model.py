"""A finished run's model as Python code holds it: `launcher.load(run)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Model:
    """Read once and kept, on the CPU. `labels` are those it tells apart."""

    def __init__(self, folder: Path, labels: tuple[str, ...], work: Mapping[str, Callable[..., Any]]):
        self.folder, self.labels = folder, labels
        self._work = work

    def __repr__(self) -> str:
        return f"<model of {self.folder}: {len(self.labels)} labels>"

    def predict(self, texts: Any, top: int | None = None) -> list[dict[str, Any]]:
        """What it says of each text or pair of texts: see `launcher.predict`."""
        answers: list[dict[str, Any]] = self._work["predict"](texts, top)
        return answers

    def evaluate(self, data: str | Path | None = None) -> dict[str, Any]:
        """Its metrics on the run's test split, or on a file of the same kind: see `launcher.evaluate`."""
        metrics: dict[str, Any] = self._work["evaluate"](None if data is None else str(data))
        return metrics
