"""A rank that makes no step any more is seen by its pulse, and named."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher import stillness
from launcher.rundir import AttemptFolder, RunFolder, read_json, write_json
from launcher.stillness import Stillness

Wait = Callable[[float], None]


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptFolder:
    return RunFolder(tmp_path).new_attempt()


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Let so many seconds go by."""
    now = [100.0]
    monkeypatch.setattr(stillness.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


@pytest.fixture
def processes() -> Iterator[dict[int, subprocess.Popen[bytes]]]:
    """Two real ones."""
    started = {rank: subprocess.Popen(["sleep", "300"]) for rank in (0, 1)}
    yield started
    for process in started.values():
        process.kill()
        process.wait()


def beat(attempt: AttemptFolder, rank: int, step: int, section: str = "training") -> None:
    write_json(attempt.pulse(rank), {"section": section, "step": step, "steps": 99, "time": time.time()})


def test_ranks_that_go_on_are_left_alone(attempt: AttemptFolder, wait: Wait) -> None:
    watch = Stillness(attempt)
    for step in range(20):
        for rank in (0, 1):
            beat(attempt, rank, step)
        assert not watch.hang({0: 1, 1: 1})
        wait(100)


@pytest.mark.parametrize("section", ["starting", "evaluating", "saving", "testing"])
def test_only_training_has_steps(attempt: AttemptFolder, wait: Wait, section: str) -> None:
    watch = Stillness(attempt)
    assert not watch.hang({0: 1}), "nothing said yet"
    beat(attempt, 0, 3, section)
    for _ in range(5):
        assert not watch.hang({0: 1})
        wait(10_000)


def test_a_slow_step_makes_it_patient(attempt: AttemptFolder, wait: Wait) -> None:
    watch = Stillness(attempt)
    for step in (1, 2):
        beat(attempt, 0, step)
        assert not watch.hang({0: 1})
        wait(60)
    wait(500)
    assert not watch.hang({0: 1})
    wait(100)
    assert watch.hang({0: 1})


def test_the_one_that_came_least_far_is_named(attempt: AttemptFolder, wait: Wait) -> None:
    watch = Stillness(attempt)
    beat(attempt, 0, 7)
    beat(attempt, 1, 6)
    assert not watch.hang({0: 1, 1: 1})
    wait(121)
    assert watch.hang({0: 1, 1: 1})
    told = read_json(attempt.failure(1))
    assert told["kind"] == "hung" and not attempt.failure(0).exists()
    assert told["problems"][0]["what"] == "rank 1 has made no step for 121 s, after step 6"


def test_a_process_that_was_stopped_is_named_first(
    attempt: AttemptFolder, wait: Wait, processes: dict[int, subprocess.Popen[bytes]]
) -> None:
    watch, numbers = Stillness(attempt), {rank: process.pid for rank, process in processes.items()}
    beat(attempt, 0, 6)
    beat(attempt, 1, 7)
    assert not watch.hang(numbers)
    processes[1].send_signal(signal.SIGSTOP)
    while not stillness.stands_still(numbers[1]):
        time.sleep(0.01)
    wait(121)
    assert watch.hang(numbers)
    told = read_json(attempt.failure(1))
    assert told["kind"] == "stopped" and not attempt.failure(0).exists()
    assert told["problems"][0]["what"].endswith("after step 7: its process was stopped")
