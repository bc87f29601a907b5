"""One rank of a run that `torchrun` or `accelerate launch` started."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcher.errors import LauncherError, PlanError, Problem, RecipeError, WorkerError
from launcher.errors import from_document as error_from_document
from launcher.host import machine_facts
from launcher.host.processes import die_with_parent
from launcher.launch import opening, run_request, supervisor, tracking
from launcher.launch.node import SECONDS_TO_SPEAK
from launcher.launch.request import Request
from launcher.plan import accelerate_env
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.plan.rules import device_for
from launcher.recipe.recipe import digest
from launcher.runs import driver, failure
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.worker.rank import import_heavy, live


def by_hand(request: Request) -> tuple[int, RunFolder | None]:
    """Be one rank that torchrun or accelerate started; its exit status, and the run's folder.

    The process group comes first. Rank 0 then goes through the gates, prepares, plans and opens the run
    folder, and sends the others its path, or the error.
    """
    began = machine_facts.process_start()
    die_with_parent(os.getppid())
    try:
        placement = _placement_by_hand(request.placement)
    except PlanError as error:
        return _refused(error)
    request = replace(request, placement=placement)
    import_heavy()
    from launcher.training.distributed.world import join

    lone = placement.processes == placement.nodes == 1 and placement.strategy == "single"
    world = join(_meeting_device(placement), None, alone=lone)
    opened = json.loads(world.tell(json.dumps(_open_by_hand(request)).encode() if world.leads else b""))
    if "error" in opened:
        return _refused(error_from_document(opened))
    run = RunFolder(Path(opened["folder"]))
    try:
        plan = planning.from_document(read_json(run.plan))
        _refuse_another(request, plan)
        with tracking.told(run, lambda: None, lambda: 0) if world.leads else contextlib.nullcontext():
            return live(run, plan, run_request.planned_recipe(run, plan), opened["attempt"], began, world), run
    except BaseException as error:
        code = failure.tell(run, opened["attempt"], world.rank, error)
        problems = failure.problems_of(run, world.rank, error)
        print(f"launcher: {WorkerError(problems)}", file=sys.stderr, flush=True)
        if not run.attempt(opened["attempt"]).outcome.exists():
            with contextlib.suppress(OSError, LauncherError):  # a full disk; another attempt has taken over
                supervisor.failed_outcome(run, run.attempt(opened["attempt"]), plan, "failed", problems)
        return code, run
    finally:
        if world.leads:
            driver.drop_lease(run)


def _refuse_another(request: Request, plan: planning.Plan) -> None:
    """Raise RecipeError where `start` was given another recipe in this rank than in the one that planned."""
    made = request.given is not None or not plan.recipe
    if made and digest(run_request.recipe_of(request).recipe) != plan.digest:
        do = "start() must be given the same recipe in every process"
        raise RecipeError(Problem("this rank was given another recipe than the first one", do=do))


def _placement_by_hand(placement: Placement) -> Placement:
    """The placement that the launcher of this rank and the command line agree on. Raises PlanError where they differ.

    Removes what that launcher left in the environment.
    """
    size, requested = int(os.environ["WORLD_SIZE"]), placement.processes
    here = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    strategy = accelerate_env.strategy(os.environ, placement.strategy)
    accelerate_env.forget(os.environ)
    if requested not in (None, here):
        do = "leave it out: torchrun decides"
        raise PlanError(Problem(f"--processes {requested}, but {here} were started", "--processes", do))
    if size % here:
        what = f"{size} processes in all, but {here} on this machine: they must be shared evenly"
        raise PlanError(Problem(what, "--nproc-per-node", "start as many on each machine"))
    if strategy == "auto" and size == 1:
        strategy = "single"
    return replace(placement, processes=here, nodes=size // here, strategy=strategy)


def _meeting_device(placement: Placement) -> str:
    """Where the ranks meet: on GPUs only where each has its own; if not, rank 0 must still be able to say so."""
    facts = machine_facts.facts()
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
        loaded = run_request.gates(request)
        folder = run_request.find_folder(request, loaded)
        plan = run_request.make_plan(request, loaded)
        attempt = opening.open_folder(folder, request, loaded, plan)
        print(f"run {folder.name}: {plan.strategy} on {plan.device}, {plan.derivation()}", flush=True)
        return {"folder": str(folder.path), "attempt": attempt.number}
    except LauncherError as error:
        return error.document()
