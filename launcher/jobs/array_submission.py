"""Several runs as one job array: which runs these are, all of them through every gate, one folder each, one `sbatch`.

The runs are every recipe with every combination of the `--each` values. They share one request to the cluster; a
run's name says how it differs from the others.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from launcher.cluster import job_status, schedulers
from launcher.cluster.job import Job
from launcher.cluster.job_array import ArrayFolder
from launcher.errors import BackendError, LauncherError, Problem
from launcher.jobs import submission
from launcher.jobs.submission import ClusterView, JobRequest, Submission
from launcher.json_files import write_json
from launcher.launch import run_request
from launcher.launch.request import Request
from launcher.launch.supervisor import unwritten
from launcher.plan.plan import Plan
from launcher.recipe.recipe import document
from launcher.runs import run_folder

MOST = 1000
"""Tasks of one array: as many as Slurm takes by default (MaxArraySize)."""

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class ArraySubmission:
    """An array on its way to the cluster: nothing of it is written yet."""

    folder: ArrayFolder
    members: list[Submission]
    at_once: int | None

    @property
    def job(self) -> Job:
        """The job of all tasks: each run's own, but for the name."""
        share = f"%{self.at_once}" if self.at_once else ""
        tasks = f"0-{len(self.members) - 1}{share}"
        return replace(self.members[0].job, name=submission.job_name(self.folder.name), array=tasks)

    def words(self) -> list[str]:
        """The whole command that submits them."""
        return schedulers.named(self.members[0].scheduler).arguments(self.job, self.folder.path)


def combinations(base: Request, recipes: Sequence[Path], each: Mapping[str, Sequence[str]]) -> list[Request]:
    """One request a run: every recipe with every combination of the values, the last key's changing fastest."""
    names: set[str] = set()
    requests: list[Request] = []
    for recipe, values in itertools.product(recipes, itertools.product(*each.values())):
        chosen = dict(zip(each, values, strict=True))
        parts = [str(base.name), *([run_request.plain_name(recipe.stem)] if len(recipes) > 1 else [])]
        parts += [f"{key.rpartition('.')[2]}-{run_request.plain_name(value) or 'x'}" for key, value in chosen.items()]
        name = "-".join(parts)
        if name in names:
            name = f"{name}-{len(requests)}"  # two values that read alike once made plain
        names.add(name)
        requests.append(replace(base, recipe=recipe, overrides={**base.overrides, **chosen}, name=name))
    return requests


def prepare(
    requests: Sequence[Request], name: str, terms: JobRequest, view: ClusterView, at_once: int | None
) -> ArraySubmission:
    """All runs through all gates; creates nothing. Raises one LauncherError with the problems of every run."""
    if len(requests) > MOST:
        raise BackendError(Problem(f"{len(requests)} runs are more than an array takes, {MOST}", "--each"))
    folder = free_folder(requests[0], name)
    members = for_each(requests, lambda run: str(run.name), lambda run: submission.prepare(run, terms, view))
    return ArraySubmission(folder, members, at_once)


def make_plans(array: ArraySubmission) -> list[Plan]:
    """The plan of every run. Runs that differ only in how they train share the facts about their data."""
    known: dict[str, dict[str, Any] | LauncherError] = {}

    def plan(member: Submission) -> Plan:
        recipe = member.loaded.recipe
        rest = document(recipe)
        training = rest.pop("training")
        key = json.dumps([rest, training["precision"], training["dropout"], training["recompute"]], sort_keys=True)
        if key not in known:
            try:
                known[key] = run_request.prepare(member.loaded)
            except LauncherError as error:
                known[key] = error
        prepared = known[key]
        if isinstance(prepared, LauncherError):
            raise prepared
        return run_request.make_plan(member.request, member.loaded, prepared)

    return for_each(array.members, lambda member: member.folder.name, plan)


def hand_over(array: ArraySubmission, plans: Sequence[Plan]) -> int:
    """Write every run's folder and the array's, and submit; the job's number. Where that fails no folder is left."""
    runs = [member.folder for member in array.members]
    written: list[Path] = []
    scheduler = schedulers.named(array.members[0].scheduler)
    try:
        for member, plan in zip(array.members, plans, strict=True):
            submission.write(member, plan)
            written.append(member.folder.path)
        _write_list(array)
        written.append(array.folder.path)
        number = scheduler.submit(array.words(), array.members[0].environment())
    except LauncherError:
        for path in written:
            shutil.rmtree(path, ignore_errors=True)
        raise
    for task, member in enumerate(array.members):
        submission.note_job(member, scheduler.task(number, task))
    write_json(array.folder.tasks, array.folder.document(runs, number))
    return number


def _write_list(array: ArraySubmission) -> None:
    folder, setup = array.folder, array.members[0].setup
    try:
        if array.members[0].request.overwrite and folder.path.exists():
            shutil.rmtree(folder.path)
        folder.path.mkdir(parents=True)
    except OSError as error:
        raise BackendError(unwritten(error, folder.path)) from None
    try:
        if setup is not None:
            shutil.copyfile(setup, folder.setup)
        write_json(folder.tasks, folder.document([member.folder for member in array.members], None))
    except OSError as error:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise BackendError(unwritten(error, folder.path)) from None


def free_folder(request: Request, name: str) -> ArrayFolder:
    """The array's own folder. Raises BackendError where something else is there, or an array not to be replaced."""
    run_folder.check_name(name)
    folder = ArrayFolder((request.runs / name).resolve())
    if not folder.path.exists():
        return folder
    if not folder.tasks.is_file():
        raise BackendError(
            Problem(f"{name!r} exists already and is not an array", str(folder.path), "choose another --name")
        )
    if not request.overwrite:
        do = "choose another --name, or replace it by --overwrite"
        raise BackendError(Problem(f"there is an array {name!r} already", str(folder.path), do))
    alive = [run.name for run in folder.runs() if (status := job_status.certain_standing(run)) and status.alive]
    if alive:
        what = f"runs of the array {name!r} wait or run: {', '.join(alive)}"
        raise BackendError(Problem(what, str(folder.path), f"end them first: launcher cancel {name}"))
    return folder


def for_each(things: Sequence[In], name: Callable[[In], str], make: Callable[[In], Out]) -> list[Out]:
    """What `make` gives for each; when it raises for some, one error with all problems, each reported once."""
    made, first, owners = [], None, dict[Problem, list[str]]()
    for thing in things:
        try:
            made.append(make(thing))
        except LauncherError as error:
            first = first or type(error)
            for problem in error.problems:
                owners.setdefault(problem, []).append(name(thing))
    if first is not None:
        raise first(_with_owners(owners, len(things)))
    return made


def _with_owners(owners: Mapping[Problem, Sequence[str]], all_of_them: int) -> Iterable[Problem]:
    """The problems; those that not all runs have, with the names of the runs that have them."""
    for problem, names in owners.items():
        if len(names) == all_of_them:
            yield problem
        else:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            runs = f"run {', '.join(names[:3])}{more}"
            yield replace(problem, where=f"{runs}: {problem.where}" if problem.where else runs)
