"""The doors: the `launcher` command, `start(recipe)` at the end of a recipe, and two Python functions.

Each imports what it needs when it is called: this is the one place where light code reaches for more.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from launcher.errors import PlanError, Problem, RecipeError
from launcher.spec import noun

if TYPE_CHECKING:
    from launcher.attempts import Request
    from launcher.recipe import Recipe


def main() -> None:
    """The command line."""
    from launcher.cli.app import main

    main()


def start(recipe: Recipe) -> None:
    """The last line of a recipe: `python`, `torchrun` and `accelerate launch` on the file come in here.

    A process that another launcher started as one rank of several trains; a process that stands alone does
    what `launcher run` does. The arguments after the file are those of `launcher run` in both cases.
    """
    del recipe  # the run loads the file again, the same way everywhere
    if sys._getframe(1).f_globals.get("__name__") != "__main__":
        do = 'write `if __name__ == "__main__":` above start(recipe)'
        raise RecipeError(Problem("start(recipe) was reached while the recipe was imported", do=do))
    path = str(Path(sys.modules["__main__"].__file__ or "").resolve())
    from launcher.cli.app import main

    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        main(["run", path, *sys.argv[1:]], carry_out=_as_rank)
    elif "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ:
        main(["run", path, *sys.argv[1:]], carry_out=_refuse_lone_process)
    elif "ACCELERATE_MIXED_PRECISION" in os.environ:
        main(["run", path, *sys.argv[1:]], carry_out=_as_lone_process)
    else:
        main(["run", path, *sys.argv[1:]])


def answer_for_wrong_recipes() -> None:
    """A mistake in a recipe that is run by hand is told as `launcher run` tells it, without a traceback.

    `python`, `torchrun` and `accelerate launch` carry out the file themselves: its nouns refuse what is wrong before
    `start` is reached, and nobody else hears them. Every other exception goes where it went before.
    """
    told_by = sys.excepthook

    def hear(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        from launcher.recipe_file import located

        file = getattr(sys.modules["__main__"], "__file__", None)
        if isinstance(error, RecipeError) and file is not None and trace is not None and _built_by(file, trace):
            print(f"launcher: {located(Path(file), error)}", file=sys.stderr)
        else:
            told_by(kind, error, trace)

    sys.excepthook = hear


def _built_by(file: str, trace: TracebackType) -> bool:
    """Whether that file's own statements built the noun that refused."""
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(trace)]
    return files[-2:] == [file, noun.__file__]


def _as_lone_process(request: Request, as_json: bool) -> int:
    """`accelerate launch` for one process: what `launcher run` does, once nothing contradicts the plan."""
    from launcher import inherited
    from launcher.cli.run import run_recipe

    inherited.strategy(os.environ, request.placement.strategy)
    return run_recipe(request, dry_run=False, as_json=as_json)


def _as_rank(request: Request, as_json: bool) -> int:
    """Be one rank that torchrun or `accelerate launch` started."""
    from launcher.cli.display import print_json
    from launcher.cli.result import print_outcome
    from launcher.node import THREADS
    from launcher.rundir import read_json

    os.environ.update(THREADS)
    from launcher.worker import by_hand

    answer_to, leads = os.dup(1), os.environ["RANK"] == "0"  # a rank that is alone forgets that it is one
    if as_json:
        os.dup2(2, 1)  # the run's lines must not mix with the answer
    try:
        code, folder = by_hand(request)
    finally:
        sys.stdout.flush()
        os.dup2(answer_to, 1)
    outcome = read_json(folder.outcome) if folder is not None and leads else None
    if folder is not None and outcome is not None:
        if as_json:
            print_json({"run": str(folder.path), **outcome})
        elif outcome["status"] != "failed":
            print_outcome(folder, outcome)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # as in the nursery: gloo's threads may hang an orderly teardown


def _refuse_lone_process(request: Request, as_json: bool) -> int:
    """`accelerate launch --cpu --num_processes 2` starts one process and says nothing."""
    from launcher.attempts import gates, make_plan
    from launcher.cli.run import by_hand_line

    number = _asked_processes()
    request = replace(request, placement=replace(request.placement, processes=number))
    line = by_hand_line(request, make_plan(request, gates(request)))
    raise PlanError(
        Problem(
            f"accelerate was asked for {number} CPU processes and started one (its --cpu launcher needs MPI for more)",
            "accelerate launch --cpu",
            f"type: {line}",
        )
    )


def _asked_processes() -> int:
    """`--num_processes` on the command line of the `accelerate launch` that started this process, or 2."""
    words = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().decode(errors="replace").split("\0")
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word in ("--num_processes", "--num-processes") and after.isdigit():
            return int(after)
        if word.startswith(("--num_processes=", "--num-processes=")) and word.partition("=")[2].isdigit():
            return int(word.partition("=")[2])
    return 2


def predict(run: str | Path, texts: Sequence[str | tuple[str, str]], runs: str | Path = "runs") -> list[dict[str, Any]]:
    """What the model of a finished run says of each text, or pair of texts where it was trained on pairs.

    For text classification `{"label": str, "probability": float, "probabilities": {label: float}}`, for several
    labels `{"labels": [str], "probabilities": {label: float}}`; for token classification
    `{"entities": [{"entity", "text", "start", "end", "probability"}]}` with offsets in characters. An answer has
    `"truncated": True` where the text is longer than the model takes, so that its end was not looked at.
    Raises BackendError where there is no finished run of that name.
    """
    from launcher.worker import predict

    return predict(run, texts, runs)


def evaluate(run: str | Path, data: str | Path | None = None, runs: str | Path = "runs") -> dict[str, Any]:
    """The metrics of a finished run's model on its own test split, or on a file of the same kind.

    Raises BackendError where there is no such finished run, DataError where the file cannot be used.
    """
    from launcher.worker import evaluate

    return evaluate(run, data, runs)


answer_for_wrong_recipes()
