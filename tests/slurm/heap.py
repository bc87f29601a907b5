"""A toy scheduler, for `test_other_scheduler.py`: jobs are processes of this machine, and begin once a file is there.

`python heap.py RUN_FOLDER` is its batch script.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.cluster.inventory import Cluster, Nodes, Partition
from launcher.cluster.job import Job
from launcher.cluster.scheduler import Number, Queued, ThisJob
from launcher.errors import BackendError, Problem

NAME = "Heap"
VARIABLES: tuple[str, ...] = ("HEAP",)
FOLDER = "HEAP"
"""The variable that names the folder with a file for each job, which holds its process."""


def there() -> bool:
    return FOLDER in os.environ


def _folder() -> Path:
    return Path(os.environ[FOLDER])


def cluster() -> Cluster:
    return Cluster((Partition("heap", True, None, (Nodes(1, 2, 8 << 30, 0, ""),)),))


def accounts() -> list[str]:
    return []


def arguments(job: Job, run: Path) -> list[str]:
    return ["heap", f"--name={job.name}", __file__, str(run)]


def environment(python: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "HEAP_JOB"}


def submit(words: Sequence[str], environment: Mapping[str, str]) -> int:
    number = len([path for path in _folder().iterdir() if path.name.isdigit()]) + 1
    with (Path(words[-1]) / "slurm.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, *words[-2:]],
            env={**environment, "HEAP_JOB": str(number)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (_folder() / str(number)).write_text(str(process.pid))
    return number


def task(number: int, index: int) -> Number:
    return f"{number}.{index}"


def look_up(number: Number) -> Queued | None:
    path = _folder() / str(number)
    if not path.is_file():
        return None
    try:
        words = Path(f"/proc/{path.read_text()}/cmdline").read_text()
    except OSError:
        words = ""
    state = "LYING" if __file__ in words else "BURNING" if "launcher.jobs.batch" in words else "ASHES"
    return Queued(number, state, "nobody has lit it" if state == "LYING" else "", 0, "this one")


def look_up_all(numbers: Sequence[Number]) -> dict[Number, Queued]:
    return {number: found for number in numbers if (found := look_up(number)) is not None}


def in_words(queued: Queued, after: str) -> tuple[str, str]:
    return {"LYING": "pending", "BURNING": "running"}.get(queued.state, queued.state), queued.reason


def cancel(number: Number) -> None:
    os.kill(int((_folder() / str(number)).read_text()), signal.SIGTERM)


def this_job(environment: Mapping[str, str]) -> ThisJob | None:
    number = environment.get("HEAP_JOB")
    return ThisJob(int(number)) if number else None


def hosts() -> tuple[str, ...]:
    return ("this-one",)


def step(nodes: int, words: Sequence[str]) -> list[str]:
    return list(words)


def preempted(number: Number) -> bool:
    return False


def requeue(number: Number) -> None:
    raise BackendError(Problem("what has burnt does not begin again"))


def begins_again(number: Number) -> bool:
    return False


if __name__ == "__main__":
    while not (_folder() / "lit").exists():
        time.sleep(0.05)
    os.execv(sys.executable, [sys.executable, "-m", "launcher.jobs.batch", sys.argv[1]])
