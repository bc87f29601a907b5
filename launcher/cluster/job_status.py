"""A run's job in the cluster's queue: how it stands, in words; cancelling it; submitting it again."""

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
    """`pending`, `running`, or the scheduler's own word for how it ended."""
    why: str
    """Why it waits, or why it ended, in words."""
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
    """How the run's job stands; None where it has none, or the scheduler has forgotten it or does not answer."""
    try:
        return _look_up(folder)
    except BackendError:
        return None


def certain_standing(folder: RunFolder) -> JobStatus | None:
    """The same before something is done to the run: BackendError where its scheduler is here and does not answer.

    A job whose scheduler does not answer may well be running.
    """
    try:
        return _look_up(folder)
    except BackendError:
        name = (read_json(folder.job) or {}).get("scheduler", schedulers.DEFAULT)
        if name in schedulers.SCHEDULERS and schedulers.named(name).there():
            raise
        return None


def _look_up(folder: RunFolder) -> JobStatus | None:
    record = read_json(folder.job) or {}
    if record.get("job") is None:
        return None
    scheduler = scheduler_of(record)
    queued = scheduler.look_up(record["job"])
    return _status(record, scheduler, queued) if queued is not None else None


def standings(folders: Sequence[RunFolder]) -> Mapping[Path, JobStatus]:
    """The same of many runs, by one query to each scheduler; those whose jobs are forgotten are left out."""
    records = {folder.path: read_json(folder.job) or {} for folder in folders}
    records = {path: record for path, record in records.items() if record.get("job") is not None}
    statuses: dict[Path, JobStatus] = {}
    for name in {record.get("scheduler", schedulers.DEFAULT) for record in records.values()}:
        mine = {path: one for path, one in records.items() if one.get("scheduler", schedulers.DEFAULT) == name}
        try:
            scheduler = schedulers.named(name)
            queued = scheduler.look_up_all([record["job"] for record in mine.values()])
        except BackendError:
            continue
        statuses |= {
            path: _status(record, scheduler, queued[record["job"]])
            for path, record in mine.items()
            if record["job"] in queued
        }
    return statuses


def scheduler_of(record: Mapping[str, Any]) -> Scheduler:
    """The scheduler that job.json names. Raises BackendError for one that is not known here."""
    return schedulers.named(str(record.get("scheduler", schedulers.DEFAULT)))


def _status(record: Mapping[str, Any], scheduler: Scheduler, queued: Queued) -> JobStatus:
    after = ", ".join(Path(path).name for path in record.get("after", []))
    state, why = scheduler.in_words(queued, after)
    return JobStatus(queued.number, state, why, queued.restarts, queued.nodes, scheduler.NAME)


def refuse_queued(folder: RunFolder) -> None:
    """Raise BackendError while the run's job waits or runs, and while its scheduler does not answer."""
    status = certain_standing(folder)
    if status is not None and status.alive:
        what = f"run {folder.name} is job {status.job} of {status.scheduler}, which is {status.state}"
        raise BackendError(
            Problem(what, str(folder.path), f"wait for it, or end it with `launcher cancel {folder.name}`")
        )


def dependency(after: Sequence[RunFolder]) -> str | None:
    """The dependency that makes a job wait until these runs are finished; None where all are.

    Raises BackendError with every run that no job can wait for: it failed, was stopped, or is not a job.
    """
    jobs, problems = [], []
    for folder in after:
        status = driver.status_of(folder)
        if status == "finished":
            continue
        job_status = certain_standing(folder)
        if job_status is not None and job_status.alive:
            jobs.append(str(job_status.job))
            continue
        if status == "running":
            do = f"wait until run {folder.name} has finished"
            problems.append(Problem(f"run {folder.name} is not a job: no job can wait for it", "--after", do))
        else:
            what = f"run {folder.name} has ended ({status}): what comes after it would never start"
            problems.append(Problem(what, "--after", f"first go on with it: launcher resume {folder.name}"))
    if problems:
        raise BackendError(problems)
    return f"afterok:{':'.join(jobs)}" if jobs else None


def cancel(folder: RunFolder) -> Number:
    """End the run's job: its ranks save what they have. Raises BackendError where none waits or runs."""
    status = certain_standing(folder)
    if status is None or not status.alive:
        ended = f": job {status.job} is {status.state}" if status else ""
        raise BackendError(Problem(f"run {folder.name} has no job that waits or runs{ended}", str(folder.path)))
    scheduler_of(read_json(folder.job)).cancel(status.job)
    return status.job


def submit_again(folder: RunFolder) -> int:
    """Submit an ended run again, with the options it had and after the runs it was to follow; its job's number."""
    refuse_queued(folder)
    record = read_json(folder.job)
    after = dependency([RunFolder(Path(path)) for path in record.get("after", [])])
    try:
        job = replace(Job(**record["options"]), dependency=after)
    except (RecipeError, TypeError, KeyError) as error:
        what = f"job.json cannot be used: {error}"
        raise BackendError(Problem(what, str(folder.job), "submit the recipe again")) from None
    scheduler = scheduler_of(record)
    number = scheduler.submit(scheduler.arguments(job, folder.path), scheduler.environment(Path(sys.executable)))
    write_json(folder.job, {**record, "job": number})
    return number
