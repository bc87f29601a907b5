"""Uncaught mistakes in a recipe are shown as the command shows them, without a traceback."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import TracebackType

from launcher.errors import LauncherError, RecipeError
from launcher.recipe import noun
from launcher.recipe.loading import imported, located


def install_hook() -> None:
    """Show a mistake in a recipe that is run by hand as `launcher run` shows it, without a traceback.

    `python`, `torchrun` and `accelerate launch` run the file themselves: its nouns refuse what is wrong before `start`
    is reached, and nothing else catches that. At a prompt, and in `python -c`, every error of ours is shown so. Every
    other exception goes to the hook that was there before.
    """
    previous_hook = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        file = getattr(sys.modules["__main__"], "__file__", None)
        if isinstance(error, LauncherError) and file is None:
            print(f"launcher: {error}", file=sys.stderr)
        elif isinstance(error, RecipeError) and file is not None and trace is not None and _built_by(file, trace):
            print(f"launcher: {_all_of(Path(file), error)}", file=sys.stderr)
        else:
            previous_hook(kind, error, trace)

    sys.excepthook = show


def _all_of(file: Path, error: RecipeError) -> RecipeError:
    """All that is wrong with the recipe, as `launcher run` finds it; the first where an import finds nothing."""
    try:
        imported(file)
    except RecipeError as all_problems:
        return all_problems
    return located(file, error)


def _built_by(file: str, trace: TracebackType) -> bool:
    """Whether that file's own statements built the noun that refused."""
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(trace)]
    return [name for name in files if name != noun.__file__][-1:] == [file] and files[-1] == noun.__file__
