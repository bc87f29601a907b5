"""Real processes and their pulses, as the watcher sees them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.host.vital_signs import look_at, state_of
from launcher.runs.attempt import AttemptFolder
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.runs.watchdog import Watchdog


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptFolder:
    return RunFolder(tmp_path).new_attempt()


@pytest.fixture
def processes() -> Iterator[dict[int, subprocess.Popen[bytes]]]:
    """Two real ones."""
    started = {rank: subprocess.Popen(["sleep", "300"]) for rank in (0, 1)}
    yield started
    for process in started.values():
        process.kill()
        process.wait()


def test_real_processes_are_looked_at(attempt: AttemptFolder, processes: dict[int, subprocess.Popen[bytes]]) -> None:
    numbers, now = {rank: process.pid for rank, process in processes.items()}, [100.0]
    watch = Watchdog(attempt, monotonic=lambda: now[0])
    watch.begin(attempt, 30.0, alone=True)
    for rank in numbers:
        beat = {"section": "evaluating", "stage": "evaluating", "step": 6 + rank, "count": 1, "time": 1.0}
        attempt.pulse(rank).write_text(json.dumps(beat))
    assert watch.hang(numbers) is None
    processes[1].send_signal(signal.SIGSTOP)
    while state_of(numbers[1]) != "T":
        time.sleep(0.01)
    found = None
    for _ in range(20):
        now[0] += 1.0
        found = found or watch.hang(numbers)
    assert found is not None and found.rank == 1
    told = read_json(attempt.failure(1))
    assert told["kind"] == "stopped" and not attempt.failure(0).exists()
    assert told["problems"][0]["what"] == (
        "rank 1 stands still in evaluating for 11 s, after step 7: its process was stopped"
    )
    assert watch.trains(numbers)


def test_a_torn_beat_is_no_beat(attempt: AttemptFolder) -> None:
    attempt.pulse(0).write_text('{"section": "trai')
    assert look_at(1, attempt.pulse(0)).beat == {} == attempt.beat(0)
    attempt.pulse(0).write_text("[1]")
    assert attempt.beat(0) == {} and attempt.heard() == 0.0
