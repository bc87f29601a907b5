"""One machine of several, checked in milliseconds before its ranks load a model.

Each machine does it for itself: `launch.agent` inside a job's step, and the machines of `launcher run --machines`.
The ranks themselves measure how fast they reach each other, once they have met (`allreduce_check`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from launcher.errors import BackendError, LauncherError, Problem
from launcher.host import machine_facts
from launcher.host.cgroups import available_memory as available_memory
from launcher.plan.plan import Plan
from launcher.runs.attempt import AttemptFolder

LEAST_DISK = 64 << 20
"""Bytes; with less not even the logs and a small checkpoint fit."""
PREFIX = "launcher.launch.preflight: "
"""Marks a line of output that holds problems."""
PROBE = 1 << 20
"""Bytes that are written to see that the disk takes them."""


def check(plan: Plan, attempt: AttemptFolder, number: int) -> str:
    """One line about what is in order. Raises BackendError with all that is wrong on this machine."""
    host, here = socket.gethostname(), machine_facts.facts()
    problems = [*_versions(plan, host), *_gpus(plan, host, len(here.gpus)), *_prepared(plan, host)]
    milliseconds, unwritable = written(attempt.path, number)
    if unwritable:
        problems.append(_unwritable(attempt.path, host, unwritable))
    disk, memory = shutil.disk_usage(attempt.path).free, available_memory()
    if disk < LEAST_DISK:
        what = f"{host} has {disk >> 20} MB of disk left for the run folder"
        problems.append(Problem(what, str(attempt.path), "make room, or choose another --runs"))
    if problems:
        raise BackendError(problems)
    gpus = f", {len(here.gpus)} GPUs seen" if plan.device == "cuda" else ""
    tight = ", which is less than the plan foresees" if memory < _foreseen(plan) else ""
    return (
        f"preflight {host}: {len(plan.versions)} packages as planned, run folder written in {milliseconds:.0f} ms, "
        f"{disk / 1e9:.1f} GB of disk and {memory / 1e9:.1f} GB of memory free{tight}{gpus}"
    )


def encode_problems(error: LauncherError) -> str:
    """The problems as a line of output, for a machine that cannot write them to a file."""
    return PREFIX + json.dumps([problem.document() for problem in error.problems])


def decode_problems(line: bytes) -> list[Problem]:
    """The problems in such a line; none for any other line."""
    if not line.startswith(PREFIX.encode()):
        return []
    return [Problem(**problem) for problem in json.loads(line[len(PREFIX) :])]


def written(folder: Path, number: int) -> tuple[float, str]:
    """Milliseconds to write a megabyte to that disk, or why it cannot be written."""
    path, began = folder / f".preflight-{number}-{os.getpid()}", time.perf_counter()
    try:
        with path.open("wb") as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return 0.0, str(error.strerror).lower()
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    return (time.perf_counter() - began) * 1000, ""


def _versions(plan: Plan, host: str) -> Iterator[Problem]:
    here = machine_facts.versions()
    differ = [
        f"{name} is {here.get(name, 'not installed')}, planned with {promised}"
        for name, promised in plan.versions.items()
        if here.get(name, "not installed") != promised
    ]
    if differ:
        do = "use one environment on all machines, or install the same versions there"
        yield Problem(f"{host} has other libraries than the plan: {'; '.join(differ)}", host, do)


def _gpus(plan: Plan, host: str, seen: int) -> Iterator[Problem]:
    if plan.device == "cuda" and seen < plan.processes_per_node:
        what = f"{host} sees {seen} GPUs, but {plan.processes_per_node} are promised to its processes"
        yield Problem(what, f"nvidia-smi on {host}", "ask for the GPUs, for fewer processes, or leave the machine out")


def _prepared(plan: Plan, host: str) -> Iterator[Problem]:
    if not (Path(plan.prepared) / "facts.json").is_file():
        do = "set RECIPE_LAUNCHER_CACHE (in a profile: `scratch`) to a folder that all machines share"
        yield Problem(f"{host} does not see the prepared data", plan.prepared, do)


def _unwritable(folder: Path, host: str, why: str) -> Problem:
    do = "the run folder must lie on a disk that all machines share and may write: choose another --runs"
    return Problem(f"{host} cannot write into the run folder: {why}", str(folder), do)


def _foreseen(plan: Plan) -> int:
    """Bytes of this machine's memory that its ranks are predicted to take."""
    if plan.memory is None or plan.device != "cpu":
        return 0
    return plan.memory["total"] * plan.processes_per_node
