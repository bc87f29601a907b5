"""`launcher cancel` and `launcher resume`: ending a run and going on with it, here or on the cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from launcher.cli.display import print_json
from launcher.cluster import job_status
from launcher.cluster.job_array import runs_named
from launcher.errors import BackendError, Problem
from launcher.launch.request import Request
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.plan.plan import Plan
from launcher.runs import driver, run_folder
from launcher.runs.run_files import read_plan
from launcher.runs.run_folder import RunFolder

ENDINGS = {"died": "was killed", "failed": "has failed", "finished": "has finished", "stopped": "was stopped"}
"""How a run that is no longer active has ended, in words."""


def cancel_run(run: str, runs: Path, as_json: bool) -> None:
    """Ask the run, or all runs of an array, to save and end. Raises BackendError if none of them is active."""
    cancelled: list[dict[str, object]] = []
    problems: list[Problem] = []
    folders = runs_named([run], runs)
    for folder in folders:
        try:
            cancelled.append(_cancel(folder))
        except BackendError as error:
            problems += error.problems
    if not cancelled:
        raise BackendError(problems)
    if as_json:
        print_json(cancelled[0] if len(folders) == 1 else {"cancelled": cancelled})
        return
    for what in cancelled:
        name = Path(str(what["run"])).name
        who = f"process {what['process']}" if "process" in what else f"job {what['job']}"
        print(f"{who} was told to save and end; go on later with `launcher resume {name}`")


def _cancel(folder: RunFolder) -> dict[str, object]:
    holder, queue = driver.lease_holder(folder), job_status.standing(folder)
    if holder is not None and not (queue and queue.alive):  # a job's own driver may run on this machine
        driver.cancel(holder)
        return {"run": str(folder.path), "process": holder}
    if folder.job.is_file():
        return {"run": str(folder.path), "job": job_status.cancel(folder)}
    host = driver.driven_elsewhere(folder)
    if host is not None:
        do = f"stop it there: launcher cancel {folder.name}"
        raise BackendError(Problem(driver.elsewhere_message(folder, host), str(folder.path), do))
    status = driver.status_of(folder)
    how = ENDINGS.get(status, f"is {status}")
    raise BackendError(Problem(f"run {folder.name} {how}: there is nothing to cancel"))


def resume_run(run: str, runs: Path, detach: bool, as_json: bool) -> int:
    """Go on with a stopped or failed run where it was: as a job again, or on this machine; the exit code.

    A job is in the background anyway.
    """
    folder = run_folder.find(run, runs)
    if driver.status_of(folder) == "finished":
        raise BackendError(Problem(f"run {folder.name} is finished", str(folder.path), "nothing is left to resume"))
    if folder.job.is_file():
        number = job_status.submit_again(folder)
        if as_json:
            print_json({"run": str(folder.path), "job": number})
        else:
            print(f"job {number} goes on with run {folder.name}")
        return 0
    from launcher.cli.detach import run_detached
    from launcher.cli.run import run_recipe

    plan = planning.from_document(read_plan(folder.plan))
    request = _as_it_was(folder, plan)
    if plan.nodes > 1:
        raise BackendError(_typed_on_each(request, plan))
    return run_detached(request, as_json) if detach else run_recipe(request, dry_run=False, as_json=as_json)


def _typed_on_each(request: Request, plan: Plan) -> Problem:
    """That this run was not made by a scheduler, and how its machines go on with it."""
    from launcher.cli.run import resume_line

    placement = replace(request.placement, processes=plan.processes_per_node)
    words = ("--machines", str(plan.nodes), "--machine-rank", "K", "--head", "HOST:PORT")
    line = resume_line(replace(request, placement=placement), str(request.name), words)
    what = f"run {request.name} is shared by {plan.nodes} machines, without a scheduler"
    do = f"type on each of them, with K from 0 to {plan.nodes - 1} and machine 0 as HOST: {line}"
    return Problem(what, str(request.runs / str(request.name)), do)


def _as_it_was(folder: RunFolder, plan: Plan) -> Request:
    placement = Placement(plan.world_size, plan.strategy, plan.device, hang_seconds=plan.hang_seconds)
    recipe = Path(plan.recipe) if plan.recipe else folder.source
    return Request(recipe, plan.overrides, placement, folder.name, folder.path.parent, resume=True)
