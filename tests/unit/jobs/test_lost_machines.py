"""What is said of machines of a job that end without a word, and when their silence is the cause."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from launcher import WorkerError
from launcher.cluster import scheduler, slurm
from launcher.cluster.scheduler import Scheduler
from launcher.errors import Problem
from launcher.jobs import allocation
from launcher.jobs.allocation import Allocation
from launcher.json_files import write_json
from launcher.runs.attempt import AttemptFolder
from launcher.runs.run_folder import RunFolder

PEER = "RuntimeError: [gloo] Connection closed by peer [10.0.0.2]:4242"
MEETING = (
    "RuntimeError: Gloo connectFullMesh failed with [gloo] error; this is typically caused by a remote worker crashing."
)
NCCL = (
    "DistBackendError: NCCL error in: NCCLUtils.cpp:77, remote process exited or there was a network error, "
    "NCCL version 2.27.5\n"
    "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.\n"
    "Last error:\nsocketPollConnect: Connection closed by remote peer node2<40122>"
)
NODE2 = "node2 ended without a word (srun ended with status 9)"


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptFolder:
    return RunFolder(tmp_path).new_attempt()


def of_two(attempt: AttemptFolder) -> Allocation:
    """Two machines of two ranks each, whose step has ended with status 9."""
    step = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(9)"])
    step.wait()
    return Allocation(cast(Scheduler, slurm), ("node1", "node2"), step, 2, attempt, 2)


def told(attempt: AttemptFolder, number: int, **ended: Any) -> None:
    """What a machine wrote at its end: `rank_0=status`."""
    statuses = {name.removeprefix("rank_"): [status, 10.0] for name, status in ended.items()}
    write_json(attempt.node(number), {"host": "x", "ended": statuses, "killed_at": None, "problems": []})


def rank_says(attempt: AttemptFolder, rank: int, what: str, when: float = 10.0, **more: str) -> None:
    write_json(attempt.failure(rank), {**WorkerError(Problem(what)).document(), "time": when, **more})


def began(attempt: AttemptFolder, *ranks: int) -> None:
    for rank in ranks:
        attempt.log(rank).touch()


def verdict(attempt: AttemptFolder) -> tuple[str, bool, bool]:
    error = of_two(attempt).failure(attempt)
    assert error is not None
    return error.problems[0].what, error.machine_lost, error.repeatable


def test_a_silent_machine_comes_before_those_who_lost_their_line_to_it(attempt: AttemptFolder) -> None:
    began(attempt, 0, 1, 2, 3)
    told(attempt, 0, rank_0=70, rank_1=70)
    rank_says(attempt, 0, PEER)
    rank_says(attempt, 1, PEER)
    assert verdict(attempt) == (NODE2, True, False)


def test_a_rank_that_says_what_it_broke_on_comes_before_a_silent_machine(attempt: AttemptFolder) -> None:
    began(attempt, 0, 1, 2, 3)
    told(attempt, 0, rank_0=70, rank_1=70)
    rank_says(attempt, 0, "ValueError: not today")
    assert verdict(attempt) == ("ValueError: not today", False, False)


def test_survivors_that_die_by_the_watchdog_of_nccl_do_not_hide_the_silent_machine(attempt: AttemptFolder) -> None:
    """It aborts a process whose neighbour has gone: the next attempt here would start without that machine."""
    began(attempt, 0, 1, 2, 3)
    told(attempt, 0, rank_0=-signal.SIGABRT, rank_1=-signal.SIGABRT)
    assert verdict(attempt) == (NODE2, True, False)


def test_survivors_that_say_what_nccl_says_do_not_hide_the_silent_machine(attempt: AttemptFolder) -> None:
    began(attempt, 0, 1, 2, 3)
    told(attempt, 0, rank_0=70, rank_1=70)
    rank_says(attempt, 0, NCCL)
    rank_says(attempt, 1, NCCL)
    assert verdict(attempt) == (NODE2, True, False)


def test_a_rank_that_was_stopped_does_not_hide_the_silent_machine(attempt: AttemptFolder) -> None:
    began(attempt, 0, 1, 2, 3)
    told(attempt, 0, rank_0=-9, rank_1=-9)
    rank_says(attempt, 0, "rank 0 has made no step for 120 s: its process was stopped", kind="stopped")
    assert verdict(attempt) == (NODE2, True, False)


@pytest.mark.parametrize("when", [9.0, 11.0])
def test_a_programming_error_is_told_also_where_its_neighbours_abort_or_fall_silent(
    attempt: AttemptFolder, when: float
) -> None:
    """Whichever is said to be first: the clocks of machines differ, and nothing but itself explains such an error."""
    began(attempt, 0, 1, 2, 3)
    told(attempt, 0, rank_0=-signal.SIGABRT, rank_1=70)
    rank_says(attempt, 1, "ValueError: not today", when)
    assert verdict(attempt) == ("ValueError: not today", False, False)


def test_a_killed_rank_is_the_cause_where_every_machine_has_told(attempt: AttemptFolder) -> None:
    began(attempt, 0, 1, 2, 3)
    told(attempt, 0, rank_0=70, rank_1=70)
    rank_says(attempt, 0, NCCL, 9.0)
    rank_says(attempt, 1, NCCL, 9.0)
    told(attempt, 1, rank_2=-9, rank_3=-9)
    assert verdict(attempt) == ("rank 2 was killed by SIGKILL", False, True)


def test_a_machine_that_never_began_is_not_lost(attempt: AttemptFolder) -> None:
    """Its Python may be missing: another turn of the job would not find it either."""
    began(attempt, 0, 1)
    told(attempt, 0, rank_0=0, rank_1=0)
    assert verdict(attempt) == (NODE2, False, False)


@pytest.mark.parametrize("what", [PEER, MEETING, NCCL])
def test_lines_that_broke_between_machines_that_live_are_a_fault_of_processes(
    attempt: AttemptFolder, what: str
) -> None:
    began(attempt, 0, 1, 2, 3)
    for machine, ranks in ((0, (0, 1)), (1, (2, 3))):
        told(attempt, machine, **{f"rank_{rank}": 70 for rank in ranks})
        for rank in ranks:
            rank_says(attempt, rank, what)
    assert verdict(attempt) == (what, False, True)


COMES = """
import pathlib, sys
tries, told = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
with tries.open("a") as file:
    file.write("x")
if tries.stat().st_size > int(sys.argv[3]):
    whole = told.with_suffix(".tmp")
    whole.write_text('{"host": "x", "ended": {"0": [0, 1.0]}, "killed_at": null, "problems": []}')
    whole.replace(told)
else:
    sys.exit(1)
"""
"""A step that nobody comes to before it was tried so many times."""


@pytest.mark.parametrize(
    ("in_vain", "stopped", "tried"),
    [(0, 0, 1), (2, 0, 3), (99, 0, scheduler.TRIES), (99, 1, 1)],
    ids=["at once", "a controller that restarts", "never", "a run that is told to stop"],
)
def test_a_step_that_no_machine_came_to_is_tried_again(
    attempt: AttemptFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    in_vain: int,
    stopped: int,
    tried: int,
) -> None:
    monkeypatch.setattr(scheduler, "PAUSE", 0)
    monkeypatch.setattr(allocation, "PAUSE", 0.01)
    tries = attempt.path / "tries"
    words = [sys.executable, "-S", "-c", COMES, str(tries), str(attempt.node(0)), str(in_vain)]
    step = Allocation(cast(Scheduler, slurm), ("node1",), None, 1, attempt, 1, words)
    step._begin()
    if stopped:
        assert step.step is not None
        step.step.wait()
    step.watch(lambda: None, lambda: stopped)
    assert tries.stat().st_size == tried
    assert capsys.readouterr().out.count("it is tried again") == tried - 1
    failure = step.failure(attempt)
    assert (failure is None) == (in_vain < scheduler.TRIES)
