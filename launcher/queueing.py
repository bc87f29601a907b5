"""A run's job in the cluster's queue: how it stands, in words; ending it; handing it over again."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launcher.backends import slurm
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


@dataclass(frozen=True)
class Standing:
    """Where a run's job stands."""

    job: int
    state: str
    """`pending`, `running`, or what it ended as in Slurm's word."""
    why: str
    """Why it waits, in words."""
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
    number = (read_json(folder.job) or {}).get("job")
    if number is None:
        return None
    try:
        told = slurm.look_up(int(number))
    except BackendError:
        return None
    if told is None:
        return None
    if told.state in WAITS:
        return Standing(told.number, "pending", in_words(told.reason), told.restarts, told.nodes)
    state = "running" if told.state in RUNS else told.state
    return Standing(told.number, state, "", told.restarts, told.nodes)


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


def cancel(folder: RunFolder) -> int:
    """End the run's job: its ranks save what they have. Raises BackendError where none waits or runs."""
    found = standing(folder)
    if found is None or not found.alive:
        ended = f": job {found.job} is {found.state}" if found else ""
        raise BackendError(Problem(f"run {folder.name} has no job that waits or runs{ended}", str(folder.path)))
    slurm.cancel(found.job)
    return found.job


def submit_again(folder: RunFolder) -> int:
    """Hand an ended run over again, with the options it had; the new job's number."""
    refuse_queued(folder)
    told = read_json(folder.job)
    try:
        job = Job(**told["options"])
    except (RecipeError, TypeError, KeyError) as error:
        what = f"job.json cannot be used: {error}"
        raise BackendError(Problem(what, str(folder.job), "submit the recipe anew")) from None
    number = slurm.submit(arguments(folder, job), environment())
    write_json(folder.job, {**told, "job": number})
    return number


def arguments(folder: RunFolder, job: Job) -> list[str]:
    """The whole `sbatch` command."""
    return slurm.arguments(job, shipped("slurm") / SCRIPT, folder.path)


def environment() -> dict[str, str]:
    """What a job starts with: this environment, and this interpreter."""
    return slurm.environment(Path(sys.executable))
