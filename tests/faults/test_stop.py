"""A run that is told to stop saves where it stands, leaves nothing behind, and goes on as if it had not stopped."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from proof import assert_same, checkpoint_steps, litter
from scene import STEPS, Launched, Scene, wait_until

Begin = Callable[..., Launched]
Twin = Callable[[int], Path]


@pytest.mark.parametrize(("processes", "number"), [(1, signal.SIGINT), (2, signal.SIGTERM)], ids=["one", "two"])
def test_a_stopped_run_goes_on_bit_identically(
    slow: Scene, begin: Begin, twin: Twin, processes: int, number: int
) -> None:
    asked_at = random.Random(f"{processes} {number}").randint(10, 100)
    launched = begin("r", "--processes", processes)
    launched.wait_for_step(asked_at)
    launched.signal(number)

    assert launched.end() == 75, launched.output()
    assert launched.left_over() == []
    assert "Traceback" not in launched.output()
    outcome = slow.outcome("r")
    reached = outcome["steps"]
    assert outcome["status"] == "stopped"
    assert asked_at <= reached < STEPS
    assert checkpoint_steps(launched.path)[-1] == reached
    assert not litter(launched.path)
    assert not (launched.path / "model").exists()
    status = slow.status("r")
    assert (status["status"], status["step"]) == ("stopped", reached)
    assert "go on with: launcher run tiny.py --name r --resume" in launched.complained.read_text()

    slow.finish("r", "--processes", processes, "--resume")
    assert f"resumed at step {reached} of {STEPS}" in (launched.path / "attempts/2/rank-0.log").read_text()
    assert_same(launched.path, twin(processes))
    assert not litter(launched.path)


def test_a_second_signal_kills_at_once_and_the_last_checkpoint_counts(slow: Scene, begin: Begin, twin: Twin) -> None:
    launched = begin("r", "--processes", 2, "--set", "training.checkpoint_every=5")
    launched.wait_for_step(40)
    assert sorted(launched.ranks()) == [0, 1]
    launched.signal(signal.SIGINT)
    launched.signal(signal.SIGTERM)  # the second, whichever it is

    assert launched.end() == 75, launched.output()
    assert "Traceback" not in launched.output()
    assert launched.left_over() == []
    outcome, steps = slow.outcome("r"), checkpoint_steps(launched.path)
    assert outcome["status"] == "stopped" == slow.status("r")["status"]
    assert steps and steps[-1] <= outcome["steps"] < STEPS

    slow.finish("r", "--processes", 2, "--resume", "--set", "training.checkpoint_every=5")
    assert_same(launched.path, twin(2))
    assert not litter(launched.path)


def test_a_rank_that_does_not_listen_is_killed_by_the_second_signal(slow: Scene, begin: Begin) -> None:
    launched = begin("r", "--processes", 2)
    launched.wait_for_step(5)
    ranks = launched.ranks()
    wait_until(lambda: _stop(ranks[1]), "the rank to stand still")
    launched.signal(signal.SIGINT)
    wait_until(lambda: "saving a checkpoint" in launched.output(), "the answer to the first signal")
    assert launched.left_over()
    launched.signal(signal.SIGINT)

    assert launched.end() == 75, launched.output()
    assert launched.left_over() == []
    assert slow.status("r")["status"] == "stopped"


def test_stopped_before_there_is_a_run(slow: Scene, begin: Begin) -> None:
    launched = begin("r", "--processes", 2)
    wait_until(lambda: launched.left_over(), "the nursery")
    launched.signal(signal.SIGINT)

    assert launched.end() == 130, launched.output()
    assert "Traceback" not in launched.output()
    assert not slow.runs.exists()
    wait_until(lambda: not launched.left_over(), "the nursery's end")


def _stop(pid: int) -> bool:
    os.kill(pid, signal.SIGSTOP)
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
