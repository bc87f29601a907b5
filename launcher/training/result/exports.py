"""A finished run's model in formats of others, each compared with what it was made from before it counts.

A format is a function that writes one file and says what it wrote and how it compares; what it cannot hold it refuses.
Nothing is left behind where it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launcher.errors import DataError, Problem
from launcher.training.result import static_exports
from launcher.training.result.model_folder import SavedModel

Format = Callable[[SavedModel, Path, Path | None], dict[str, Any]]
FORMATS: Mapping[str, Format] = {"fasttext": static_exports.fasttext, "vec": static_exports.vec}


def export(saved: SavedModel, kind: str, output: Path, texts: Path | None = None) -> dict[str, Any]:
    """Write the model to `output`, and its test split to `texts`; what was written, for `launcher export`.

    Raises RecipeError for a model that the format cannot hold, WorkerError where what was written is not the model.
    """
    try:
        return {"file": str(output), "format": kind, **FORMATS[kind](saved, output, texts)}
    except OSError as error:
        raise DataError(Problem(f"the model cannot be written: {error}", str(output))) from None
