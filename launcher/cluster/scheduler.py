"""What a cluster's scheduler is asked for. `launcher.cluster.schedulers` lists those there are.

A module that offers what `Scheduler` lists is a scheduler. What is asked of it is said in our words (`cluster/job.py`,
`Queued`, `ThisJob`): its own commands, states and variables stay in its module. Who runs the ranks, here or in a job,
is another seam: `launcher.launch.supervisor.Ranks`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from launcher.cluster.inventory import Cluster
from launcher.cluster.job import Job
from launcher.errors import BackendError

TRIES = 10
PAUSE = 3.0
"""How often, and after how many seconds again, a job at work asks a scheduler that refuses: its controller may be busy,
restart or read its settings anew, most of all in the minute in which a machine is lost."""

Answer = TypeVar("Answer")
Number = int | str
"""A job's, or that of one task of an array."""


@dataclass(frozen=True)
class Queued:
    """What a scheduler says of one job."""

    number: Number
    state: str
    """The scheduler's own word; `in_words` says what it means."""
    reason: str
    """Why it waits or ended, in the scheduler's own word; empty where there is nothing to say."""
    restarts: int
    nodes: str
    """The machines, as the scheduler writes them."""


@dataclass(frozen=True)
class ThisJob:
    """What a process inside a job knows of it."""

    number: Number
    """What puts back, tells of and ends this job alone: of a task, not the array's."""
    restarts: int = 0
    """How often the scheduler has begun it again."""
    task: str = ""
    """Which task of an array it is; empty where it is none."""
    machine: int = 0
    """The place of this process's machine among those of its step."""
    submitted_from: str = ""
    """The host that the job was handed over on."""


class Scheduler(Protocol):
    """A cluster's scheduler. Every member raises BackendError where it refuses or does not answer."""

    NAME: str
    """As its users write it."""
    VARIABLES: tuple[str, ...]
    """How the environment variables begin by which its commands are steered."""

    def there(self) -> bool:
        """Whether its commands are here."""

    def cluster(self) -> Cluster:
        """The partitions and what their nodes have."""

    def accounts(self) -> list[str]:
        """The accounts this user may name; empty where that is not told."""

    def arguments(self, job: Job, run: Path) -> list[str]:
        """The command that hands the job over; its last two words are the batch script and the run's folder."""

    def environment(self, python: Path) -> dict[str, str]:
        """What a job starts with."""

    def submit(self, words: Sequence[str], environment: Mapping[str, str]) -> int:
        """Hand the job over; its number."""

    def cancel(self, number: Number) -> None:
        """Have a job save and end."""

    def task(self, number: int, index: int) -> Number:
        """The number of one task of an array."""

    def look_up(self, number: Number) -> Queued | None:
        """What is known of a job; None once it is forgotten."""

    def look_up_all(self, numbers: Sequence[Number]) -> dict[Number, Queued]:
        """The same as `look_up` of many, by one question."""

    def in_words(self, found: Queued, after: str) -> tuple[str, str]:
        """`pending`, `running` or its own word for how it ended; and why. `after`: the runs that it was to follow."""

    def this_job(self, environment: Mapping[str, str]) -> ThisJob | None:
        """The job that this process is part of."""

    def hosts(self) -> tuple[str, ...]:
        """The names of this job's machines, the one of its batch step first."""

    def step(self, nodes: int, words: Sequence[str]) -> list[str]:
        """The command that runs these words once on each of this job's first `nodes` machines."""

    def preempted(self, number: Number) -> bool:
        """Whether the running job's machines are being taken for another one."""

    def requeue(self, number: Number) -> None:
        """Have the running job begin again later."""

    def begins_again(self, number: Number) -> bool:
        """Whether it is so already, without being asked."""


def until_answered(question: Callable[[], Answer]) -> Answer:
    """What it answers; where it raises BackendError it is asked again for half a minute. Raises the last refusal."""
    for _ in range(TRIES - 1):
        try:
            return question()
        except BackendError:
            time.sleep(PAUSE)
    return question()
