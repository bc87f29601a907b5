"""How often an attempt is repeated that a fault of a process ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.errors import Problem, WorkerError
from launcher.repair import MOST_WITHOUT_A_CHECKPOINT, Repairs
from launcher.root_cause import process_fault
from launcher.rundir import RunFolder, append_line

KILLED = process_fault(Problem("rank 1 was killed by SIGKILL", "rank 1", "see dmesg"))


def after(folder: RunFolder, repairs: Repairs, *, reached: int, saved: int = 0) -> WorkerError:
    """What becomes of a fault of an attempt that came so far."""
    attempt = folder.new_attempt()
    append_line(folder.events, {"step": reached, "attempt": attempt.number})
    if saved:
        attempt.checkpoint(saved).mkdir(parents=True)
    return repairs.judge(attempt, KILLED)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_as_long_as_something_new_is_saved_it_is_repeated(folder: RunFolder) -> None:
    repairs = Repairs(folder)
    for n in range(1, 30):
        assert after(folder, repairs, reached=10 * n + 3, saved=10 * n) is KILLED


def test_after_the_same_step_twice_it_ends(folder: RunFolder) -> None:
    repairs = Repairs(folder)
    assert after(folder, repairs, reached=53, saved=50) is KILLED
    ended = after(folder, repairs, reached=53, saved=50)
    assert not ended.repeatable
    (problem,) = ended.problems
    assert problem.what == "rank 1 was killed by SIGKILL (after step 53, as in the attempt before)"
    assert problem.do == "see dmesg; repeating does not mend it: read the logs of both attempts"


def test_many_times_without_anything_saved_it_ends(folder: RunFolder) -> None:
    repairs = Repairs(folder)
    for n in range(MOST_WITHOUT_A_CHECKPOINT):
        assert after(folder, repairs, reached=5 + n) is KILLED
    ended = after(folder, repairs, reached=9)
    assert not ended.repeatable and "(4 attempts saved nothing)" in ended.problems[0].what


def test_another_failure_is_left_as_it_is(folder: RunFolder) -> None:
    repairs, broken = Repairs(folder), WorkerError(Problem("ValueError"))
    assert after(folder, repairs, reached=5) is KILLED
    assert repairs.judge(folder.new_attempt(), broken) is broken
    assert after(folder, repairs, reached=5) is KILLED, "not twice in a row"
