"""A run driven to its end, attempt after attempt, on one node or on those of a job.

Another attempt follows only where it can do better, from the newest good checkpoint or again from the beginning:

- a rank ran out of memory over a batch: with half the micro-batch. The global batch stays, and with it the loss curve;
- a process was killed or hung: the same again (`launcher.runs.retry` says how often).

Whatever else breaks ends the run. A lost machine ends it here as well: the caller decides what follows
(`launcher.jobs.batch` has Slurm give it another one).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from launcher.errors import Problem, WorkerError, whose
from launcher.json_files import write_json
from launcher.json_lines import append_line
from launcher.launch import tracking
from launcher.plan.plan import Plan
from launcher.runs import driver, room
from launcher.runs.attempt import AttemptFolder
from launcher.runs.publishing import publish, refuse_taken_over
from launcher.runs.retry import Repairs
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder


class Ranks(Protocol):
    """The ranks of one attempt at a time, on one machine (`launch.node`) or on several (`jobs.allocation`)."""

    def start(self, plan: Plan, folder: RunFolder, attempt: AttemptFolder, began: float) -> None:
        """Start them all."""

    def watch(self, tick: Callable[[], None], stop_asked: Callable[[], int]) -> None:
        """Return when all have ended; `stop_asked` counts the requests to stop so far."""

    def failure(self, attempt: AttemptFolder) -> WorkerError | None:
        """Why the attempt failed, the root cause first; None when every rank ended well."""

    def close(self) -> None:
        """End whatever still runs."""


def drive(
    folder: RunFolder,
    attempt: AttemptFolder,
    plan: Plan,
    ranks: Ranks,
    began: float,
    tick: Callable[[], None],
    stop_asked: Callable[[], int],
) -> dict[str, Any]:
    """Run attempts until the run has ended; the outcome. `ranks` stays open for another run.

    Raises WorkerError when an attempt failed and another one would not help, or when another process has begun one.
    """
    tick = _keeping_lease(folder, tick)
    with tracking.told(folder, tick, stop_asked):
        return _attempts(folder, attempt, plan, ranks, began, tick, stop_asked)


def _attempts(
    folder: RunFolder,
    attempt: AttemptFolder,
    plan: Plan,
    ranks: Ranks,
    began: float,
    tick: Callable[[], None],
    stop_asked: Callable[[], int],
) -> dict[str, Any]:
    repairs = Repairs(folder)
    while True:
        try:
            ranks.start(plan, folder, attempt, began)
            ranks.watch(tick, stop_asked)
        except BaseException:  # also at Ctrl-C: no rank may outlive its driver
            ranks.close()
            raise
        failure = ranks.failure(attempt)
        refuse_taken_over(folder, attempt.number)
        try:
            following = None
            if failure is not None and not attempt.outcome.exists() and not stop_asked():
                if failure.room is not None:
                    failure.repeatable = room.comes_back(folder.path, failure.room, tick, stop_asked)
                failure = repairs.judge(attempt, failure)
                following = _following(attempt, plan, failure)
            room.patiently(_note_ending, attempt, plan, failure, bool(stop_asked()))
            if following is None:
                return room.patiently(_concluded, folder, attempt, plan, failure, bool(stop_asked()))
            plan, why = following
            attempt = _open_next(folder, attempt, plan, why)
        except OSError as error:
            problems = failure.problems if failure is not None else []
            raise WorkerError([*problems, unwritten(error, folder.path)]) from None
        tick()


def below_known_oom(folder: RunFolder, plan: Plan) -> Plan:
    """The plan with a micro-batch below every one that this run ran out of memory with, spread as it is now."""
    micro = plan.micro_batch_size
    for attempt in folder.attempts():
        ending = read_json(attempt.ending)
        if ending and ending["ended"] == "out_of_memory":
            alike = (ending["strategy"], ending["world_size"]) == (plan.strategy, plan.world_size)
            micro = min(micro, max(1, ending["micro_batch_size"] // 2)) if alike else micro
    return with_micro_batch(plan, micro)


def failed_outcome(
    folder: RunFolder, attempt: AttemptFolder, plan: Plan, status: str, problems: list[Problem]
) -> dict[str, Any]:
    """Write the outcome of an attempt whose ranks could not write it. Raises WorkerError when it is taken over."""
    events = folder.newest_events(1)
    outcome = {
        "status": status,
        "strategy": plan.strategy,
        "world_size": plan.world_size,
        "steps": events[-1]["step"] if events else 0,
        "metrics": {"before": None, "validation": None, "test": None},
        "proof": None,
        "problems": [problem.document() for problem in problems],
        "attempts": _endings(folder),
    }
    publish(folder, attempt, outcome)
    return outcome


def unwritten(error: OSError, path: Path) -> Problem:
    """The problem that the run's folder cannot be written."""
    do = "choose another --name or --runs; its owner can go on with it" if whose(path) else "make room"
    what = f"the run folder cannot be written: {error.strerror}{whose(path)}"
    return Problem(what, str(path), do if whose(path) else f"{do}, or choose another --runs")


def _keeping_lease(folder: RunFolder, tick: Callable[[], None]) -> Callable[[], None]:
    """`tick`, and now and then the sign that this process drives the run: ranks have no pulse while they evaluate."""
    next_sign = 0.0

    def both() -> None:
        nonlocal next_sign
        if time.monotonic() >= next_sign:
            next_sign = time.monotonic() + driver.SECONDS_BETWEEN_SIGNS
            driver.keep_lease(folder)
        tick()

    return both


def _concluded(
    folder: RunFolder, attempt: AttemptFolder, plan: Plan, failure: WorkerError | None, stopped: bool
) -> dict[str, Any]:
    """The outcome that the ranks wrote, with the history of the attempts; or one that says why they wrote none."""
    outcome = read_json(attempt.outcome)
    if outcome is not None:
        outcome["attempts"] = _endings(folder)
        publish(folder, attempt, outcome)
        return dict(outcome)
    failure = failure or WorkerError(Problem("the ranks ended without an outcome", str(attempt.path)))
    if failure.batch_too_large and plan.micro_batch_size == 1:
        do = "shard the states (--strategy fsdp2 or zero3, more processes), cut embedding.max_length, or train LoRA"
        first = failure.problems[0]
        what = f"one row at a time is too much for the memory: {first.what}"
        failure = WorkerError([Problem(what, first.where, do), *failure.problems[1:]])
    outcome = failed_outcome(folder, attempt, plan, "stopped" if stopped else "failed", failure.problems)
    if not stopped:
        raise failure
    return outcome


def _following(attempt: AttemptFolder, plan: Plan, failure: WorkerError) -> tuple[Plan, str] | None:
    """The plan of the next attempt, and a note about it; None if there is to be none."""
    number = attempt.number
    if failure.repeatable:
        return plan, f"attempt {number} broke: {failure.problems[0].what}; attempt {number + 1} repeats what it lost"
    if not failure.batch_too_large or plan.micro_batch_size == 1:
        return None
    smaller = with_micro_batch(plan, plan.micro_batch_size // 2)
    note = (
        f"attempt {number} ran out of memory with {plan.micro_batch_size} rows at a time; "
        f"attempt {number + 1} halves them: {smaller.derivation()}"
    )
    return smaller, note


def with_micro_batch(plan: Plan, micro: int) -> Plan:
    """The same plan, computed so many rows at a time."""
    share = plan.batch_size // plan.world_size
    if micro == plan.micro_batch_size:
        return plan
    parts = math.ceil(share / micro)
    why = f"{plan.strategy} with {micro} rows at a time instead of {plan.micro_batch_size}."
    # the prediction was for more rows
    return replace(plan, micro_batch_size=micro, accumulation=parts, memory=None, why=why)


def _open_next(folder: RunFolder, attempt: AttemptFolder, plan: Plan, note: str) -> AttemptFolder:
    """The next attempt's folder; plan.json is the new plan's, and a note informs those who watch the run."""
    opened = room.patiently(folder.attempt_after, attempt.number)
    room.patiently(write_json, folder.plan, {**read_json(folder.plan), **plan.document()})
    room.patiently(append_line, opened.notes, {"note": note, "time": time.time()})
    return opened


def _note_ending(attempt: AttemptFolder, plan: Plan, failure: WorkerError | None, stopped: bool) -> None:
    outcome = read_json(attempt.outcome)
    ended = str(outcome["status"]) if outcome else "stopped" if stopped else "failed"
    if failure is not None and outcome is None and not stopped:
        ended = _kind(failure)
    ending = {
        "strategy": plan.strategy,
        "world_size": plan.world_size,
        "micro_batch_size": plan.micro_batch_size,
        "accumulation": plan.accumulation,
        "ended": ended,
        "why": failure.problems[0].what if failure is not None else "",
    }
    write_json(attempt.ending, ending)


def _kind(failure: WorkerError) -> str:
    if failure.batch_too_large:
        return "out_of_memory"
    return "fault" if failure.repeatable else "machine_lost" if failure.machine_lost else "failed"


def _endings(folder: RunFolder) -> list[dict[str, Any]]:
    """How each attempt ended that was driven to its end; oldest first."""
    endings = [(attempt.number, read_json(attempt.ending)) for attempt in folder.attempts()]
    return [{"attempt": number, **ending} for number, ending in endings if ending]
