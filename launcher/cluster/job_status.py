"""A run's job in the cluster's queue: how it stands, in words; ending it; handing it over again."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from launcher.cluster import schedulers
from launcher.cluster.job import Job
from launcher.cluster.scheduler import Number, Queued, Scheduler
from launcher.errors import BackendError, Problem, RecipeError
from launcher.json_files import write_json
from launcher.runs import driver
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder


@dataclass(frozen=True)
class JobStatus:
    """Where a run's job stands."""

    job: Number
    state: str
    """`pending`, `running`, or what it ended as in the scheduler's word."""
    why: str
    """Why it waits, or how it came to its end, in words."""
    restarts: int
    nodes: str
    scheduler: str
    """Whose job it is."""

    @property
    def alive(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("pending", "running")

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def standing(folder: RunFolder) -> JobStatus | None:
    """How the run's job stands; None where it has none, or it is forgotten, or nobody answers."""
    try:
        return _found(folder)
    except BackendError:
        return None


def certain_standing(folder: RunFolder) -> JobStatus | None:
    """The same before something is done to the run: BackendError where its scheduler is here and does not answer.

    A job that nobody answers for may well be at work.
    """
    try:
        return _found(folder)
    except BackendError:
        name = (read_json(folder.job) or {}).get("scheduler", schedulers.DEFAULT)
        if name in schedulers.SCHEDULERS and schedulers.named(name).there():
            raise
        return None


def _found(folder: RunFolder) -> JobStatus | None:
    told = read_json(folder.job) or {}
    if told.get("job") is None:
        return None
    asked = scheduler_of(told)
    found = asked.look_up(told["job"])
    return _standing(told, asked, found) if found is not None else None


def standings(folders: Sequence[RunFolder]) -> Mapping[Path, JobStatus]:
    """The same of many runs, by one question to each scheduler; those whose jobs are forgotten are left out."""
    jobs = {folder.path: read_json(folder.job) or {} for folder in folders}
    jobs = {path: told for path, told in jobs.items() if told.get("job") is not None}
    found: dict[Path, JobStatus] = {}
    for name in {told.get("scheduler", schedulers.DEFAULT) for told in jobs.values()}:
        mine = {path: told for path, told in jobs.items() if told.get("scheduler", schedulers.DEFAULT) == name}
        try:
            asked = schedulers.named(name)
            answer = asked.look_up_all([told["job"] for told in mine.values()])
        except BackendError:
            continue
        found |= {
            path: _standing(told, asked, answer[told["job"]]) for path, told in mine.items() if told["job"] in answer
        }
    return found


def scheduler_of(told: Mapping[str, Any]) -> Scheduler:
    """Whose job it is that job.json tells of. Raises BackendError for one that is not known here."""
    return schedulers.named(str(told.get("scheduler", schedulers.DEFAULT)))


def _standing(told: Mapping[str, Any], asked: Scheduler, found: Queued) -> JobStatus:
    after = ", ".join(Path(path).name for path in told.get("after", []))
    state, why = asked.in_words(found, after)
    return JobStatus(found.number, state, why, found.restarts, found.nodes, asked.NAME)


def refuse_queued(folder: RunFolder) -> None:
    """Raise BackendError while the run's job waits or runs, and while nobody answers whether it does."""
    found = certain_standing(folder)
    if found is not None and found.alive:
        what = f"run {folder.name} is job {found.job} of {found.scheduler}, which is {found.state}"
        raise BackendError(
            Problem(what, str(folder.path), f"wait for it, or end it with `launcher cancel {folder.name}`")
        )


def dependency(after: Sequence[RunFolder]) -> str | None:
    """What makes a job wait until these runs are finished; None where all are.

    Raises BackendError with every run that nothing can wait for: it failed, was stopped, or is no job.
    """
    jobs, problems = [], []
    for folder in after:
        status = driver.status_of(folder)
        if status == "finished":
            continue
        found = certain_standing(folder)
        if found is not None and found.alive:
            jobs.append(str(found.job))
            continue
        if status == "running":
            do = f"wait until run {folder.name} has finished"
            problems.append(Problem(f"run {folder.name} is no job: no job can wait for it", "--after", do))
        else:
            what = f"run {folder.name} has ended ({status}): what comes after it would never start"
            problems.append(Problem(what, "--after", f"first go on with it: launcher resume {folder.name}"))
    if problems:
        raise BackendError(problems)
    return f"afterok:{':'.join(jobs)}" if jobs else None


def cancel(folder: RunFolder) -> Number:
    """End the run's job: its ranks save what they have. Raises BackendError where none waits or runs."""
    found = certain_standing(folder)
    if found is None or not found.alive:
        ended = f": job {found.job} is {found.state}" if found else ""
        raise BackendError(Problem(f"run {folder.name} has no job that waits or runs{ended}", str(folder.path)))
    scheduler_of(read_json(folder.job)).cancel(found.job)
    return found.job


def submit_again(folder: RunFolder) -> int:
    """Hand an ended run over again, with the options it had and after the runs it was to follow; its job's number."""
    refuse_queued(folder)
    told = read_json(folder.job)
    after = dependency([RunFolder(Path(path)) for path in told.get("after", [])])
    try:
        job = replace(Job(**told["options"]), dependency=after)
    except (RecipeError, TypeError, KeyError) as error:
        what = f"job.json cannot be used: {error}"
        raise BackendError(Problem(what, str(folder.job), "submit the recipe anew")) from None
    asked = scheduler_of(told)
    number = asked.submit(asked.arguments(job, folder.path), asked.environment(Path(sys.executable)))
    write_json(folder.job, {**told, "job": number})
    return number
