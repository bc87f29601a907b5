"""One process of a run, and the heavy verbs: train, prepare, evaluate, predict, compare.

The only module that imports `launcher.training`, inside its functions. Gate 3 is passed here: a rank imports the
recipe again and compares what it got with what the plan promised (`attempts.planned_recipe`).

    python -m launcher.worker prepare|facts|data|evaluate|predict|compare|curves PARENT PIPE < request.json
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import sys
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher import attempts, driving, errors, failure, inherited, pulse, rundir, streams
from launcher import plan as planning
from launcher.attempts import Request
from launcher.backends import local
from launcher.errors import Interrupted, LauncherError, PlanError, Problem, RecipeError, WorkerError
from launcher.errors import from_document as error_from_document
from launcher.fork_server import die_with_parent
from launcher.model import Model, model_folder
from launcher.node import SECONDS_TO_SPEAK
from launcher.recipe import LoadedRecipe, digest, from_document
from launcher.rules import device_for
from launcher.rundir import RunFolder, read_json
from launcher.spec.placement import Placement

if TYPE_CHECKING:
    from launcher.training.world import World


def hush_libraries() -> None:
    """Keep back what libraries tell their own developers."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for package in ("transformers", "accelerate", "torch", "peft"):
        warnings.filterwarnings("ignore", category=FutureWarning, module=package)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def import_heavy() -> None:
    """Import what every rank needs, and nothing that starts threads (the nursery forks after this)."""
    hush_libraries()
    import transformers

    import launcher.training.life  # noqa: F401

    transformers.utils.logging.disable_progress_bar()


def train_rank(folder: str, attempt: int, rank: int, began: float, head: list[Any] | None = None) -> int:
    """Be one rank that the nursery forked; its exit status. Ranks of several machines meet at the first one's `head`:
    address and port.
    """
    run = RunFolder(Path(folder))
    try:
        return _train(run, attempt, rank, began, (head[0], head[1]) if head else run.attempt(attempt).store)
    except BaseException as error:
        return failure.tell(run, attempt, rank, error)


def _train(run: RunFolder, attempt: int, rank: int, began: float, meeting: Path | tuple[str, int]) -> int:
    plan = planning.from_document(read_json(run.plan))
    pulse.begin(run.attempt(attempt).pulse(rank), plan.hang_seconds)
    loaded = attempts.planned_recipe(run, plan)
    from launcher.training.meeting import measured
    from launcher.training.world import join

    world = join(plan.device, meeting, alone=plan.strategy == "single")
    if plan.nodes > 1:
        note = measured(world)
        if world.leads:
            rundir.append_line(run.attempt(attempt).notes, {"note": note, "time": time.time()})
    return _live(run, plan, loaded, attempt, began, world)


def _live(run: RunFolder, plan: planning.Plan, loaded: LoadedRecipe, attempt: int, began: float, world: World) -> int:
    import torch

    from launcher.training.life import Life

    faulthandler.enable()
    torch.set_num_threads(plan.threads_per_process)
    status = Life(loaded, plan, run, attempt, world, began).live()
    world.barrier()
    return 0 if status == "finished" else Interrupted.exit_code


def by_hand(request: Request) -> tuple[int, RunFolder | None]:
    """Be one rank that torchrun or accelerate started; its exit status, and the run's folder.

    The process group comes first. Rank 0 then goes through the gates, prepares, plans and opens the run
    folder, and tells the others where it is, or why there is none.
    """
    began = local.process_start()
    die_with_parent(os.getppid())
    try:
        placement = _placement_by_hand(request.placement)
    except PlanError as error:
        return _refused(error)
    request = replace(request, placement=placement)
    import_heavy()
    from launcher.training.world import join

    lone = placement.processes == placement.nodes == 1 and placement.strategy == "single"
    world = join(_meeting_device(placement), None, alone=lone)
    told = json.loads(world.tell(json.dumps(_open_by_hand(request)).encode() if world.leads else b""))
    if "error" in told:
        return _refused(error_from_document(told))
    run = RunFolder(Path(told["folder"]))
    try:
        plan = planning.from_document(read_json(run.plan))
        _refuse_another(request, plan)
        return _live(run, plan, attempts.planned_recipe(run, plan), told["attempt"], began, world), run
    except BaseException as error:
        code = failure.tell(run, told["attempt"], world.rank, error)
        problems = failure.problems_of(run, world.rank, error)
        print(f"launcher: {WorkerError(problems)}", file=sys.stderr, flush=True)
        if not run.attempt(told["attempt"]).outcome.exists():
            with contextlib.suppress(OSError, LauncherError):  # a full disk; another attempt has taken over
                driving.failed_outcome(run, run.attempt(told["attempt"]), plan, "failed", problems)
        return code, run
    finally:
        if world.leads:
            rundir.drop_lease(run)


def _refuse_another(request: Request, plan: planning.Plan) -> None:
    """Raise RecipeError where `start` was given another recipe in this rank than in the one that planned."""
    made = request.given is not None or not plan.recipe
    if made and digest(attempts.asked(request).recipe) != plan.digest:
        do = "start() must be given the same recipe in every process"
        raise RecipeError(Problem("this rank was given another recipe than the first one", do=do))


def _placement_by_hand(placement: Placement) -> Placement:
    """What the launcher that started this rank and the command line say together. Raises PlanError where they differ.

    What that launcher left in the environment is forgotten.
    """
    size, asked = int(os.environ["WORLD_SIZE"]), placement.processes
    here = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    strategy = inherited.strategy(os.environ, placement.strategy)
    inherited.forget(os.environ)
    if asked not in (None, here):
        do = "leave it out: torchrun decides"
        raise PlanError(Problem(f"--processes {asked}, but {here} were started", "--processes", do))
    if size % here:
        what = f"{size} processes in all, but {here} on this machine: they must be shared evenly"
        raise PlanError(Problem(what, "--nproc-per-node", "start as many on each machine"))
    if strategy == "auto" and size == 1:
        strategy = "single"
    return replace(placement, processes=here, nodes=size // here, strategy=strategy)


def _meeting_device(placement: Placement) -> str:
    """Where the ranks meet: on GPUs only where each has its own; if not, rank 0 must still be able to say so."""
    facts = local.facts()
    enough = len(facts.gpus) >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return device_for(facts, placement) if enough else "cpu"


def _refused(error: LauncherError) -> tuple[int, None]:
    """Rank 0 raises it; the others wait a moment, for torchrun ends all ranks when one has ended."""
    if os.environ["RANK"] == "0":
        raise error
    time.sleep(SECONDS_TO_SPEAK)
    return error.exit_code, None


def _open_by_hand(request: Request) -> dict[str, Any]:
    """On rank 0: `{"folder", "attempt"}`, or the error's document."""
    try:
        loaded = attempts.gates(request)
        folder = attempts.find_folder(request, loaded)
        plan = attempts.make_plan(request, loaded)
        attempt = attempts.open_folder(folder, request, loaded, plan)
        print(f"run {folder.name}: {plan.strategy} on {plan.device}, {plan.derivation()}", flush=True)
        return {"folder": str(folder.path), "attempt": attempt.number}
    except LauncherError as error:
        return error.document()


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """`{"recipe": document}` -> the facts of its data; with `slice`, of a folder with few rows to evaluate."""
    from launcher.training import bases
    from launcher.training.embeddings.suitable import look
    from launcher.training.model_bound import sizes
    from launcher.training.prepare import cut_evaluation, prepare

    recipe = from_document(request["recipe"])
    base = bases.of_model(recipe.embedding)
    facts = prepare(recipe)
    look(recipe, facts)
    facts |= {"base": {**facts["base"], **base}, **sizes(recipe, facts)}
    cut = request.get("slice")
    return cut_evaluation(recipe, facts, cut["rows"], Path(cut["folder"])) if cut else facts


def facts(request: dict[str, Any]) -> dict[str, Any]:
    """`{"recipe": document, "prepared": what prepare told}` -> the facts of its model, without its weights."""
    import_heavy()
    from launcher.training.model_facts import model_facts

    return model_facts(from_document(request["recipe"]), request["prepared"])


def compare(runs: list[str]) -> list[dict[str, float]]:
    """How far the trained weights of each further run's model lie from those of the first run's."""
    from launcher.training.comparison import compare

    plan = planning.from_document(read_json(RunFolder(Path(runs[0])).plan))
    return compare(Path(plan.prepared), [model_folder(run, "") for run in runs])


def load(run: str | Path, runs: str | Path = "runs") -> Model:
    """See `launcher.entry.load`."""
    hush_libraries()
    from launcher.training import answer
    from launcher.training.saving import load_saved_model

    folder = model_folder(run, runs)
    saved = load_saved_model(folder)
    work = {name: partial(getattr(answer, name), saved) for name in ("predict", "evaluate", "answers")}
    return Model(folder, tuple(saved.labels), work)


def main() -> None:
    """A heavy verb in a child process: a JSON request on stdin, a JSON answer into a pipe."""
    streams.be_patient()
    answer_to = os.fdopen(int(sys.argv[3]), "w", encoding="utf-8")
    os.set_inheritable(answer_to.fileno(), False)  # a process of a library's must not keep the pipe open
    request = json.load(sys.stdin)
    die_with_parent(int(sys.argv[2]))
    hush_libraries()
    try:
        match sys.argv[1]:
            case "prepare":
                answer: Any = prepare(request)
            case "facts":
                answer = facts(request)
            case "diagnose":
                from launcher.training.diagnosis import diagnose

                answer = diagnose(**request)
            case "curves":
                from launcher.training.run_curves import draw_curves

                answer = draw_curves(**request)
            case "data":
                from launcher.training.inspection import inspect

                answer = inspect(from_document(request["recipe"]), request["rows"], request["figures"])
            case "predict":
                answer = load(request["model"]).answers(request)
            case "evaluate":
                answer = load(request["model"]).evaluate(request["data"])
            case "compare":
                answer = compare(**request)
            case verb:
                raise WorkerError(Problem(f"there is no verb {verb!r}"))
        code = 0
    except (LauncherError, OSError) as error:
        if (told := errors.refused_by_the_system(error)) is None:
            raise
        answer, code = told.document(), told.exit_code
    json.dump(answer, answer_to, ensure_ascii=False)
    answer_to.close()
    sys.stderr.flush()
    os._exit(code)  # the answer is out; interpreter teardown costs seconds


if __name__ == "__main__":
    main()
