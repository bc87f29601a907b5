"""The doors: the `launcher` command, `start(recipe)` at the end of a recipe, and two Python functions.

Each imports what it needs when it is called: this is the one place where light code reaches for more.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launcher.recipe import Recipe


def main() -> None:
    """The command line."""
    from launcher.cli.app import main

    main()


def start(recipe: Recipe) -> None:
    """The last line of a recipe: `python`, `torchrun` and `accelerate launch` on the file come in here.

    A process that a launcher started as one rank of several trains; a process that stands alone does
    what `launcher run` does. The arguments after the file are those of `launcher run` in both cases.
    """
    path = Path(sys.modules["__main__"].__file__ or "").resolve()
    del recipe  # the run loads the file again, the same way everywhere
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        from launcher.worker import by_hand

        by_hand(path, sys.argv[1:])
    else:
        from launcher.cli.app import main

        main(["run", str(path), *sys.argv[1:]])


def predict(run: str | Path, texts: list[str], runs: str | Path = "runs") -> list[dict[str, Any]]:
    """What the model of a finished run says of each text.

    For text classification `{"label": str, "probability": float, "probabilities": {label: float}}`; for
    token classification `{"entities": [{"entity", "text", "start", "end", "probability"}]}` with offsets
    in characters. Raises BackendError where there is no finished run of that name.
    """
    from launcher.worker import predict

    return predict(run, texts, runs)


def evaluate(run: str | Path, data: str | Path | None = None, runs: str | Path = "runs") -> dict[str, Any]:
    """The metrics of a finished run's model on its own test split, or on a file of the same kind.

    Raises BackendError where there is no such finished run, DataError where the file cannot be used.
    """
    from launcher.worker import evaluate

    return evaluate(run, data, runs)
