"""The protocol of a cluster's scheduler. `launcher.cluster.schedulers` lists those there are.

A module with the members of `Scheduler` is a scheduler. Requests and answers use our types (`cluster/job.py`, `Queued`,
`ThisJob`): its own commands, states and variables stay in its module. What runs the ranks, here or in a job, is another
seam: `launcher.launch.supervisor.Ranks`.
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
restarting or reloading its settings, most of all in the minute in which a machine is lost."""

Answer = TypeVar("Answer")
Number = int | str
"""The number of a job, or of one task of an array."""


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
    """What requeues, shows and cancels this job alone: the task's, not the array's."""
    restarts: int = 0
    """How often the scheduler has begun it again."""
    task: str = ""
    """Which task of an array it is; empty where it is none."""
    machine: int = 0
    """The index of this process's machine among those of its step."""
    submitted_from: str = ""
    """The host that the job was submitted from."""


class Scheduler(Protocol):
    """A cluster's scheduler. Every member raises BackendError where it refuses or does not answer."""

    NAME: str
    """As its users write it."""
    VARIABLES: tuple[str, ...]
    """Prefixes of the environment variables that steer its commands."""

    def there(self) -> bool:
        """Whether its commands are here."""

    def cluster(self) -> Cluster:
        """The partitions and what their nodes have."""

    def accounts(self) -> list[str]:
        """The accounts this user may name; empty where they are not known."""

    def arguments(self, job: Job, run: Path) -> list[str]:
        """The command that submits the job; its last two words are the batch script and the run's folder."""

    def environment(self, python: Path) -> dict[str, str]:
        """The environment variables that a job starts with."""

    def submit(self, words: Sequence[str], environment: Mapping[str, str]) -> int:
        """Submit the job; its number."""

    def cancel(self, number: Number) -> None:
        """Have a job save and end."""

    def task(self, number: int, index: int) -> Number:
        """The number of one task of an array."""

    def look_up(self, number: Number) -> Queued | None:
        """What is known of a job; None once it is forgotten."""

    def look_up_all(self, numbers: Sequence[Number]) -> dict[Number, Queued]:
        """The same as `look_up` of many, in one query."""

    def in_words(self, queued: Queued, after: str) -> tuple[str, str]:
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
        """Whether the scheduler does so already, without a request."""


def until_answered(question: Callable[[], Answer]) -> Answer:
    """The answer; where the question raises BackendError it is tried again for half a minute. Raises the last one."""
    for _ in range(TRIES - 1):
        try:
            return question()
        except BackendError:
            time.sleep(PAUSE)
    return question()
