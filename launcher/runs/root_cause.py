"""Why an attempt failed: among all that its ranks report, and how they ended, the one thing that came first."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from typing import Any

from launcher.errors import Interrupted, Problem, WorkerError
from launcher.runs.attempt import AttemptFolder
from launcher.runs.run_files import read_json

ENDED_WELL = (0, Interrupted.exit_code)
"""Finished, or stopped on request with its state saved."""
UNREPORTED = 74
"""A rank ends with this (sysexits' EX_IOERR) when it could not even write why it broke."""
AFTERSHOCKS = (
    *("connection closed by peer", "connection reset", "connection was likely closed", "broken pipe"),
    *("timed out waiting", "remote worker crashing"),  # the second while ranks meet
    *("closed by remote peer", "remote process exited", "ncclremoteerror", "ncclsystemerror"),
)
"""Errors of a rank whose neighbour has died: never the root cause."""

Cause = tuple[int, float, WorkerError]
"""How unlikely as root cause, when it happened, the error."""


def causes(attempt: AttemptFolder, ended: Mapping[int, tuple[int, float]], killed_at: float | None) -> list[Cause]:
    """The causes of one machine's ranks that ended badly; the least of them is the root cause."""
    candidates = []
    for rank, (status, when) in ended.items():
        if status not in ENDED_WELL:
            we_killed = killed_at is not None and when >= killed_at
            candidates.append(_cause(rank, status, when, read_json(attempt.failure(rank)), attempt, we_killed))
    return candidates


def root_cause(candidates: Iterable[Cause], lost: WorkerError | None = None) -> WorkerError | None:
    """The likeliest of these. `lost` says that a machine ended without a report.

    That explains whatever happened to its neighbours: they lose a connection, hang, or are aborted by NCCL. It does not
    explain an error of a rank's own, which may have taken down that machine as well. The times do not help here: the
    clocks of machines differ.
    """
    ordered = sorted(candidates, key=lambda cause: cause[:2])
    if lost is not None:
        return next((error for unlikely, _, error in ordered if not unlikely and not error.repeatable), lost)
    return ordered[0][2] if ordered else None


def _cause(rank: int, status: int, when: float, report: Any, attempt: AttemptFolder, we_killed: bool) -> Cause:
    """Why one rank ended badly."""
    where = f"rank {rank}, log {attempt.log(rank)}"
    if report is not None:
        problems = [Problem(p["what"], p["where"] or where, p["do"]) for p in report["problems"]]
        aftershock = any(mark in problems[0].what.lower() for mark in AFTERSHOCKS)
        kind = report.get("kind")
        error = process_fault(problems) if aftershock or kind in ("hung", "stopped") else WorkerError(problems)
        error.batch_too_large = kind == "out_of_memory" and report.get("of") == "batch"
        error.room = int(report.get("free", 0)) if kind == "full_disk" else None
        error.victim = (f"rank {rank}", str(kind or problems[0].what))
        return (2 if aftershock else int(kind == "hung"), float(report["time"]), error)
    if status < 0:
        name = signal.Signals(-status).name
        do = "the kernel kills a process that takes too much memory: see `dmesg`" if status == -9 else ""
        late = 3 if we_killed and status == -9 else 0
        killed = process_fault(Problem(f"rank {rank} was killed by {name}", where, do))
        killed.victim = (f"rank {rank}", name)
        return (late, when, killed)
    if status == UNREPORTED:
        full = WorkerError(Problem(f"rank {rank} could not write: the disk is full", where, "make room"))
        full.room, full.victim = 0, (f"rank {rank}", "full_disk")
        return (1, when, full)
    return (1, when, WorkerError(Problem(f"rank {rank} ended with status {status}", where, "read its log")))


def process_fault(problems: Problem | Iterable[Problem]) -> WorkerError:
    """An error after which a repetition may succeed."""
    error = WorkerError(problems)
    error.repeatable = True
    return error
