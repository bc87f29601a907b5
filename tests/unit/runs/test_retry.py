"""How often an attempt is repeated that a fault of a process ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launcher.errors import Problem, WorkerError
from launcher.json_lines import append_line
from launcher.runs.retry import MOST_ALIKE, MOST_IN_VAIN, Repairs
from launcher.runs.root_cause import process_fault
from launcher.runs.run_folder import RunFolder


def killed(rank: int = 1, how: str = "SIGKILL") -> WorkerError:
    error = process_fault(Problem(f"rank {rank} was killed by {how}", f"rank {rank}", "see dmesg"))
    error.victim = (f"rank {rank}", how)
    return error


def after(
    folder: RunFolder, repairs: Repairs, *, beat: int, error: WorkerError, logged: int = 0, saved: int = 0
) -> WorkerError:
    """What becomes of a fault of an attempt whose ranks came so far; a step of -1 is before the first one."""
    attempt = folder.new_attempt()
    section = "starting" if beat < 0 else "training"
    attempt.pulse(0).write_text(json.dumps({"section": section, "step": max(beat, 0)}))
    if logged:
        append_line(folder.events, {"step": logged, "attempt": attempt.number})
    if saved:
        attempt.checkpoint(saved).mkdir(parents=True)
    return repairs.judge(attempt, error)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_as_long_as_it_gets_further_it_is_repeated(folder: RunFolder) -> None:
    repairs = Repairs(folder)
    for n in range(1, 40):
        error = killed(n % 2)
        assert after(folder, repairs, beat=10 * n + 3, error=error, saved=10 * n) is error


def test_after_the_same_step_twice_it_ends(folder: RunFolder) -> None:
    repairs, error = Repairs(folder), killed()
    assert after(folder, repairs, beat=53, error=error, saved=50) is error
    ended = after(folder, repairs, beat=53, error=error, saved=50)
    assert not ended.repeatable
    (problem,) = ended.problems
    assert problem.what == "rank 1 was killed by SIGKILL (after step 53, as in the attempt before)"
    assert problem.do == "see dmesg; repeating does not mend it: read the logs of both attempts"


@pytest.mark.parametrize("second", [killed(0), killed(1, "SIGSEGV"), killed(1, "hung")])
def test_another_rank_or_another_end_at_the_same_step_is_bad_luck(folder: RunFolder, second: WorkerError) -> None:
    repairs, first = Repairs(folder), killed()
    assert after(folder, repairs, beat=2, error=first, logged=2) is first
    assert after(folder, repairs, beat=2, error=second, logged=2) is second


def test_it_is_the_step_that_was_made_not_the_one_that_was_logged(folder: RunFolder) -> None:
    repairs, error = Repairs(folder), killed()
    assert after(folder, repairs, beat=517, error=error, logged=500) is error
    assert after(folder, repairs, beat=742, error=error, logged=500) is error
    assert after(folder, repairs, beat=530, error=error, logged=600) is error
    assert not after(folder, repairs, beat=600, error=error, logged=500).repeatable, "the later of both counts"


def test_the_process_that_forks_is_lost_as_often_as_it_may_be(folder: RunFolder) -> None:
    repairs, lost = Repairs(folder), process_fault(Problem("the process that starts the ranks ended with status -9"))
    lost.victim = ("", "ended with status -9")
    for step in (*[-1] * (MOST_ALIKE + 2), 7, 7, 7, 8):
        assert after(folder, repairs, beat=step, error=lost) is lost


def test_before_the_first_step_the_same_end_may_come_some_times(folder: RunFolder) -> None:
    repairs, error = Repairs(folder), killed()
    for _ in range(MOST_ALIKE - 1):
        assert after(folder, repairs, beat=-1, error=error) is error
    ended = after(folder, repairs, beat=-1, error=error)
    assert not ended.repeatable and "(5 attempts got no further)" in ended.problems[0].what


def test_many_times_without_getting_further_it_ends_whatever_it_is(folder: RunFolder) -> None:
    repairs = Repairs(folder)
    assert after(folder, repairs, beat=30, error=killed(0)).repeatable
    for n in range(MOST_IN_VAIN - 1):
        assert after(folder, repairs, beat=5 + n, error=killed(n % 2)).repeatable
    ended = after(folder, repairs, beat=29, error=killed(0))
    assert not ended.repeatable and "attempts got no further)" in ended.problems[0].what


def test_another_failure_is_left_as_it_is(folder: RunFolder) -> None:
    repairs, broken, error = Repairs(folder), WorkerError(Problem("ValueError")), killed()
    assert after(folder, repairs, beat=5, error=error) is error
    assert repairs.judge(folder.new_attempt(), broken) is broken
    assert after(folder, repairs, beat=5, error=error) is error, "not twice in a row"
