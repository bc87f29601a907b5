"""Mistakes in a recipe that nobody catches: told as the command tells them, without a traceback."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import TracebackType

from launcher.errors import LauncherError, RecipeError
from launcher.recipe import noun
from launcher.recipe.loading import imported, located


def hear() -> None:
    """A mistake in a recipe that is run by hand is told as `launcher run` tells it, without a traceback.

    `python`, `torchrun` and `accelerate launch` carry out the file themselves: its nouns refuse what is wrong before
    `start` is reached, and nobody else hears them. At a prompt, and in `python -c`, every error of ours is told so.
    Every other exception goes where it went before.
    """
    told_by = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        file = getattr(sys.modules["__main__"], "__file__", None)
        if isinstance(error, LauncherError) and file is None:
            print(f"launcher: {error}", file=sys.stderr)
        elif isinstance(error, RecipeError) and file is not None and trace is not None and _built_by(file, trace):
            print(f"launcher: {_all_of(Path(file), error)}", file=sys.stderr)
        else:
            told_by(kind, error, trace)

    sys.excepthook = tell


def _all_of(file: Path, error: RecipeError) -> RecipeError:
    """All that is wrong with the recipe, as `launcher run` finds it; the first where an import finds nothing."""
    try:
        imported(file)
    except RecipeError as told:
        return told
    return located(file, error)


def _built_by(file: str, trace: TracebackType) -> bool:
    """Whether that file's own statements built the noun that refused."""
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(trace)]
    return [name for name in files if name != noun.__file__][-1:] == [file] and files[-1] == noun.__file__
