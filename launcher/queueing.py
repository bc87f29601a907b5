"""A run's job in the cluster's queue: how it stands, in words; ending it; handing it over again."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from launcher import rundir
from launcher.backends import slurm
from launcher.backends.slurm import Number, Queued
from launcher.errors import BackendError, Problem, RecipeError
from launcher.rundir import RunFolder, read_json, write_json
from launcher.shipped import shipped
from launcher.spec.job import Job

SCRIPT = "train.sbatch"
WAITS = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING", "RESV_DEL_HOLD")
RUNS = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")
REASONS = (
    ("Priority", "other jobs go first"),
    ("Resources", "waits for nodes to become free"),
    ("BeginTime", "waits for its time to begin; Slurm holds a job that was put back for a while"),
    ("DependencyNeverSatisfied", "a job it depends on has failed: it will never start"),
    ("Dependency", "waits for a job it depends on"),
    ("JobArrayTaskLimit", "waits for other tasks of its array: --at-once lets no more run"),
    ("JobHeldUser", "held by you: `scontrol release` lets it go"),
    ("JobHeldAdmin", "held by who runs the cluster: ask them"),
    ("PartitionTimeLimit", "asks for more time than its partition allows: it will not start"),
    ("PartitionNodeLimit", "asks for more nodes than its partition allows: it will not start"),
    ("PartitionDown", "its partition takes no jobs now"),
    ("PartitionInactive", "its partition takes no jobs now"),
    ("ReqNodeNotAvail", "nodes that it needs are down, drained or reserved"),
    ("Reservation", "waits for its reservation"),
    ("QOS", "a limit of its QOS is reached: it waits for your other jobs"),
    ("Assoc", "a limit of your account is reached: it waits for your other jobs"),
    ("NodeDown", "a node that it needs is down"),
    ("BadConstraints", "no node is as it asks: it will not start"),
)
"""How Slurm's reasons begin, and what they mean."""
ENDS = {
    "TIMEOUT": "its time was over",
    "DEADLINE": "its deadline was over",
    "NODE_FAIL": "a node of it failed",
    "BOOT_FAIL": "a node of it did not start",
    "OUT_OF_MEMORY": "it took more memory than it had asked for",
    "PREEMPTED": "a more urgent job took its nodes",
    "REVOKED": "another cluster has it",
    "FAILED": "see slurm.log in the run's folder",
}
"""How a job can end that did not do what it was for."""


@dataclass(frozen=True)
class Standing:
    """Where a run's job stands."""

    job: Number
    state: str
    """`pending`, `running`, or what it ended as in Slurm's word."""
    why: str
    """Why it waits, or how it came to its end, in words."""
    restarts: int
    nodes: str

    @property
    def alive(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("pending", "running")

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def standing(folder: RunFolder) -> Standing | None:
    """How the run's job stands; None where it has none, or Slurm does not know it any more or does not answer."""
    told = read_json(folder.job) or {}
    if told.get("job") is None:
        return None
    try:
        found = slurm.look_up(told["job"])
    except BackendError:
        return None
    return _standing(told, found) if found is not None else None


def standings(folders: Sequence[RunFolder]) -> Mapping[Path, Standing]:
    """The same of many runs, by one question; those whose jobs Slurm has forgotten are left out."""
    jobs = {folder.path: read_json(folder.job) or {} for folder in folders}
    try:
        found = slurm.look_up_all([told["job"] for told in jobs.values() if told.get("job") is not None])
    except BackendError:
        return {}
    return {path: _standing(told, found[told["job"]]) for path, told in jobs.items() if told.get("job") in found}


def _standing(told: Mapping[str, Any], found: Queued) -> Standing:
    state, why = found.state, ENDS.get(found.state, "")
    if found.state in WAITS:
        state, why = "pending", in_words(found.reason)
        if found.reason == "Dependency" and told.get("after"):
            why = f"waits for {', '.join(Path(path).name for path in told['after'])} ({found.reason})"
    elif found.state in RUNS:
        state, why = "running", ""
    elif found.reason == "DependencyNeverSatisfied":
        names = ", ".join(Path(path).name for path in told.get("after", [])) or "a job it depends on"
        why = f"{names} did not finish, so it was never started ({found.reason})"
    return Standing(found.number, state, why, found.restarts, found.nodes)


def in_words(reason: str) -> str:
    """A pending reason as a person would say it, with Slurm's own word."""
    for mark, words in REASONS:
        if reason.startswith(mark):
            return f"{words} ({reason})"
    return reason


def refuse_queued(folder: RunFolder) -> None:
    """Raise BackendError while the run's job waits or runs."""
    found = standing(folder)
    if found is not None and found.alive:
        what = f"run {folder.name} is job {found.job} of Slurm, which is {found.state}"
        raise BackendError(
            Problem(what, str(folder.path), f"wait for it, or end it with `launcher cancel {folder.name}`")
        )


def dependency(after: Sequence[RunFolder]) -> str | None:
    """What makes a job wait until these runs are finished; None where all are.

    Raises BackendError with every run that nothing can wait for: it failed, was stopped, or is no job.
    """
    jobs, problems = [], []
    for folder in after:
        status = rundir.status_of(folder)
        if status == "finished":
            continue
        found = standing(folder)
        if found is not None and found.alive:
            jobs.append(str(found.job))
            continue
        if status == "running":
            do = f"wait until run {folder.name} has finished"
            problems.append(Problem(f"run {folder.name} is no job of Slurm's: no job can wait for it", "--after", do))
        else:
            what = f"run {folder.name} has ended ({status}): what comes after it would never start"
            problems.append(Problem(what, "--after", f"first go on with it: launcher resume {folder.name}"))
    if problems:
        raise BackendError(problems)
    return f"afterok:{':'.join(jobs)}" if jobs else None


def cancel(folder: RunFolder) -> Number:
    """End the run's job: its ranks save what they have. Raises BackendError where none waits or runs."""
    found = standing(folder)
    if found is None or not found.alive:
        ended = f": job {found.job} is {found.state}" if found else ""
        raise BackendError(Problem(f"run {folder.name} has no job that waits or runs{ended}", str(folder.path)))
    slurm.cancel(found.job)
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
    number = slurm.submit(arguments(folder.path, job), environment())
    write_json(folder.job, {**told, "job": number})
    return number


def arguments(folder: Path, job: Job) -> list[str]:
    """The whole `sbatch` command of a run's folder, or of an array's."""
    return slurm.arguments(job, shipped("slurm") / SCRIPT, folder)


def environment() -> dict[str, str]:
    """What a job starts with: this environment, and this interpreter."""
    return slurm.environment(Path(sys.executable))
