"""The entry points: the `launcher` command, `start(recipe)` at the end of a recipe, and the functions for Python code.

Each imports what it needs when it is called: only here does light code import the rest.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from launcher import in_transformers, streams
from launcher.errors import PlanError, Problem, RecipeError
from launcher.recipe import uncaught

if TYPE_CHECKING:
    from launcher.launch.request import Request
    from launcher.model import Model
    from launcher.recipe.recipe import Recipe
    from launcher.recipe.tracker import CustomTracker


def main() -> None:
    """The command line."""
    streams.be_patient()
    from launcher.cli.app import main

    main()


def start(recipe: Recipe, name: str | None = None, trackers: Sequence[str | CustomTracker] = ()) -> None:
    """The last line of a recipe: `python`, `torchrun` and `accelerate launch` on the file enter here.

    A process that another launcher started as one rank of several trains; a process that stands alone does
    what `launcher run` does. The arguments after the file are those of `launcher run` in both cases; `name` is the
    run's name where `--name` is not among them, `trackers` come to those of `--tracker`. What is given is what trains:
    a recipe that the file yields as its `recipe` is imported from there by every rank, any other one is written into
    the run's folder. It returns when the run has finished, so that one script may start several; where it has not, the
    process ends with the exit code.
    In a notebook or at a prompt it is `run(recipe, name, trackers=trackers)`.
    """
    from launcher.host.stop_requests import signals_put_back
    from launcher.recipe import loading
    from launcher.recipe.recipe import Recipe

    if loading.at_work():
        do = 'write `if __name__ == "__main__":` above start(recipe)'
        raise RecipeError(Problem("start(recipe) was reached while the recipe was imported", do=do))
    if not isinstance(recipe, Recipe):
        raise RecipeError(Problem(f"start() takes a Recipe, not {type(recipe).__name__}", do="start(Recipe(…))"))
    file, typed = _script()
    if typed is None:
        run(recipe, name, trackers=trackers)
        return
    streams.be_patient()
    from launcher.cli.app import main

    given = None if file is not None and _yields(file, recipe) else recipe
    words = ["run", str(file or Path.cwd() / "recipe"), *([f"--name={name}"] if name else [])]
    words += [f"--tracker={one}" for one in trackers if isinstance(one, str)] + typed
    own = [one for one in trackers if not isinstance(one, str)]
    with signals_put_back():
        try:
            main(words, carry_out=_part_of_this_process(), given=given, trackers=own)
        except SystemExit as ended:
            if ended.code and _was_rank:
                _leave(int(ended.code))
            if ended.code:
                raise


def _script() -> tuple[Path | None, list[str] | None]:
    """The file that this process carries out and the words behind it; None for words where a person types statements.

    `python -c` and `python -` have words and no file; other programs that Python lives in have words of their own.
    """
    file, typed = getattr(sys.modules.get("__main__"), "__file__", None), list(getattr(sys, "argv", []))
    if file is not None:
        return Path(file).resolve(), typed[1:]
    if hasattr(sys, "ps1"):
        return None, None
    return None, typed[1:] if typed[:1] in (["-c"], ["-"]) else []


def _yields(file: Path, recipe: Recipe) -> bool:
    """Whether every rank that imports this file will find this recipe in it."""
    from launcher.recipe import loading

    if getattr(sys.modules["__main__"], "recipe", None) != recipe:
        return False
    try:
        return bool(getattr(loading.imported(file)[1], "recipe", None) == recipe)
    except RecipeError:
        return False


def _part_of_this_process() -> Callable[[Request, bool], int] | None:
    """What this process does of a run, by what another launcher left in its environment; None where none did."""
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return _as_rank
    if "ACCELERATE_MIXED_PRECISION" in os.environ:
        return _refuse_lone_process if "MASTER_PORT" in os.environ else _as_lone_process
    return None


def run(
    recipe: Recipe | str | Path,
    name: str | None = None,
    *,
    processes: int | None = None,
    strategy: str = "auto",
    device: str = "auto",
    runs: str | Path = "runs",
    set: Mapping[str, Any] | None = None,
    from_run: str | Path | None = None,
    with_optimiser: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    trackers: Sequence[str | CustomTracker] = (),
) -> dict[str, Any]:
    """Train a recipe, or the one of a file, and wait for it, showing its lines: `launcher run` for Python code.

    The options are those of the command (`set={"training.seed": 1}`; `from_run` is `--from`); `trackers` are names as
    `--tracker` takes them, and CustomTracker, whose file counts from the recipe's folder. Returns the run's outcome, as
    outcome.json has it, and under `run` the path of its folder, which holds the recipe too. Raises the LauncherError
    that the command would tell: RecipeError, DataError, PlanError, BackendError, WorkerError; Interrupted where it was
    stopped.
    """
    from launcher.cli.overrides import going_on, texts_of
    from launcher.cli.run import train
    from launcher.launch.request import Request
    from launcher.plan.placement import Placement
    from launcher.recipe.recipe import Recipe

    if os.environ.get("WORLD_SIZE", "1") != "1" and "RANK" in os.environ:
        do = "call start(recipe) there, or run this with python alone: it starts processes by itself"
        raise PlanError(Problem("launcher.run was called in each of several processes", "torchrun", do))
    if resume and overwrite:
        raise PlanError(Problem("resume and overwrite exclude each other", do="give one of them"))
    if not isinstance(recipe, Recipe | str | Path):
        what = f"run() takes a Recipe or the path of a recipe's file, not {type(recipe).__name__}"
        raise RecipeError(Problem(what, do="run(Recipe(…))"))
    given, path = (recipe, Path.cwd() / "recipe") if isinstance(recipe, Recipe) else (None, Path(recipe))
    placement = Placement(processes=processes, strategy=strategy, device=device)
    sets = going_on(texts_of(set or {}), from_run, with_optimiser, runs)
    where = (name, Path(runs), resume, overwrite)
    return train(Request(path, sets, placement, *where, trackers=tuple(trackers), given=given))


def _as_lone_process(request: Request, as_json: bool) -> int:
    """`accelerate launch` for one process: what `launcher run` does, once nothing contradicts the plan."""
    from launcher.cli.run import run_recipe
    from launcher.plan import accelerate_env

    accelerate_env.strategy(os.environ, request.placement.strategy)
    return run_recipe(request, dry_run=False, as_json=as_json)


def _as_rank(request: Request, as_json: bool) -> int:
    """Be one rank that torchrun or `accelerate launch` started, once in a process."""
    global _was_rank
    if _was_rank:
        what = "start() was called twice in a process that another launcher started: its ranks meet once"
        do = "start each run by a torchrun of its own, or this script by `python`, which starts the processes itself"
        raise PlanError(Problem(what, do=do))
    _was_rank = True
    from launcher.cli.display import print_json
    from launcher.cli.result import print_outcome
    from launcher.launch.fork_server import THREADS
    from launcher.runs.run_files import read_json

    os.environ.update(THREADS)
    from launcher.worker.by_hand import by_hand

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
    if code:
        _leave(code)
    atexit.register(_leave, 0)
    return 0


_was_rank = False
"""Whether this process has been a rank: a global, because its process group outlives the call of start()."""


def _leave(code: int) -> NoReturn:
    """End this rank as the fork server does: gloo's threads may hang an orderly teardown."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or int(hasattr(sys, "last_value")))  # what the script did after start() may have failed


def _refuse_lone_process(request: Request, as_json: bool) -> int:
    """`accelerate launch --cpu --num_processes 2` starts one process and says nothing."""
    from launcher.cli.run import by_hand_line
    from launcher.launch.run_request import gates, make_plan

    number = _requested_processes()
    request = replace(request, placement=replace(request.placement, processes=number))
    line = by_hand_line(request, make_plan(request, gates(request)))
    raise PlanError(
        Problem(
            f"accelerate was asked for {number} CPU processes and started one (its --cpu launcher needs MPI for more)",
            "accelerate launch --cpu",
            f"type: {line}",
        )
    )


def _requested_processes() -> int:
    """`--num_processes` on the command line of the `accelerate launch` that started this process, or 2."""
    words = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().decode(errors="replace").split("\0")
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word in ("--num_processes", "--num-processes") and after.isdigit():
            return int(after)
        if word.startswith(("--num_processes=", "--num-processes=")) and word.partition("=")[2].isdigit():
            return int(word.partition("=")[2])
    return 2


def load(run: str | Path, runs: str | Path = "runs", *, set: Mapping[str, Any] | None = None) -> Model:
    """The model of a finished run, read once and kept: `.predict(texts, top=…)`, `.evaluate(data)`, `.labels`.

    `run` is its name under `runs` or a path: of the run, or of a model folder, wherever it was copied to. A model that
    writes does it as the recipe says, and as `set` does: `{"num_beams": 4}`, words of `Generation`. Raises BackendError
    where there is no finished run of that name, RecipeError for words that there are not.
    """
    from launcher.cli.overrides import texts_of
    from launcher.worker.verbs import load

    return load(run, runs, texts_of(set or {}))


def predict(
    run: str | Path,
    texts: Any,
    runs: str | Path = "runs",
    *,
    top: int | None = None,
    set: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """What the model of a finished run says of each text, or pair of texts where it was trained on pairs.

    `texts` is a list of strings (or of pairs), a column of a table, anything that gives strings one after another; a
    single string gets a list of one answer. Every call reads the model again: `load` keeps it.

    For text classification `{"label": str, "probability": float, "probabilities": {label: float}}`, for several
    labels `{"labels": [str], "probabilities": {label: float}}`; `top` keeps the most probable labels only. For
    regression `{"number": float}`. For relations, where a text has `<e1>…</e1>` and `<e2>…</e2>` in it, as for text
    classification, besides `"entities": [{"text", "start", "end"}, …]`, both, in the text without these marks. For
    token classification `{"entities": [{"entity", "text", "start", "end", "probability"}]}`. Offsets are in characters.
    A model that writes answers `{"text": str}`, with `"unfinished": True` where the text was ended by its greatest
    length; `set` says how it writes (see `load`). An answer has `"truncated": True` where the text is longer than the
    model takes, so that some of it was not looked at. Raises BackendError where there is no finished run of that name,
    DataError for what is no text.
    """
    return load(run, runs, set=set).predict(texts, top)


def evaluate(run: str | Path, data: str | Path | None = None, runs: str | Path = "runs") -> dict[str, Any]:
    """The metrics of a finished run's model on its own test split, or on a file of the same kind.

    Raises BackendError where there is no such finished run, DataError where the file cannot be used.
    """
    return load(run, runs).evaluate(data)


uncaught.install_hook()
in_transformers.offer()
