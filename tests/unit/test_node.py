"""Why an attempt failed: the root cause, from how the ranks ended and what they wrote."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from launcher import Interrupted, WorkerError, node, plan, rundir, stillness
from launcher.node import Node
from launcher.root_cause import AFTERSHOCKS
from launcher.rundir import AttemptFolder, RunFolder

PEER = "RuntimeError: [gloo] Connection closed by peer [127.0.0.1]:4242"


class Ended:
    """A nursery's process that is still there, or has ended with a status."""

    def __init__(self, returncode: int | None = None):
        self.returncode = returncode

    def poll(self) -> int | None:
        return self.returncode


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptFolder:
    return RunFolder(tmp_path).new_attempt()


def a_node(ended: dict[int, tuple[int, float]], **more: Any) -> Node:
    return Node(more.pop("process", Ended()), socket.socket(), ended=ended, **more)  # type: ignore[arg-type]


def tells(attempt: AttemptFolder, rank: int, what: str, when: float, where: str = "") -> None:
    """The failure file that a rank writes about itself."""
    document = WorkerError(node.Problem(what, where, "mend it")).document()
    rundir.write_json(attempt.failure(rank), {**document, "time": when})


def first_line(made: Node, attempt: AttemptFolder) -> str:
    error = made.failure(attempt)
    assert isinstance(error, WorkerError)
    return error.problems[0].what


def test_ranks_that_ended_well_are_no_failure(attempt: AttemptFolder) -> None:
    assert a_node({0: (0, 1.0), 1: (0, 1.0)}).failure(attempt) is None


def test_ranks_that_were_stopped_are_no_failure(attempt: AttemptFolder) -> None:
    assert Interrupted.exit_code == 75
    tells(attempt, 0, "stopped at step 3", 1.0)
    assert a_node({0: (75, 1.0), 1: (75, 2.0)}).failure(attempt) is None
    assert a_node({0: (75, 1.0), 1: (0, 2.0)}).failure(attempt) is None


@pytest.mark.parametrize("mark", AFTERSHOCKS)
def test_a_killed_rank_comes_before_those_who_lost_their_neighbour(attempt: AttemptFolder, mark: str) -> None:
    tells(attempt, 0, f"RuntimeError: {mark.capitalize()}", 1.0)
    tells(attempt, 2, PEER, 1.1)
    made = a_node({0: (1, 1.0), 2: (1, 1.1), 1: (-9, 1.5)})
    assert first_line(made, attempt) == "rank 1 was killed by SIGKILL"
    (problem,) = made.failure(attempt).problems  # type: ignore[union-attr]
    assert problem.where == f"rank 1, log {attempt.log(1)}"
    assert "dmesg" in problem.do


def test_a_killed_rank_stays_the_cause_when_we_then_kill_the_rest(attempt: AttemptFolder) -> None:
    tells(attempt, 2, PEER, 10.5)
    made = a_node({1: (-9, 10.0), 2: (1, 10.5), 0: (-9, 12.1)}, killed_at=12.0)
    assert first_line(made, attempt) == "rank 1 was killed by SIGKILL"


def test_whom_we_killed_is_never_the_cause(attempt: AttemptFolder) -> None:
    tells(attempt, 2, PEER, 10.5)
    made = a_node({2: (1, 10.5), 0: (-9, 12.1), 1: (-9, 12.1)}, killed_at=12.0)
    assert first_line(made, attempt) == PEER


def test_the_first_story_counts(attempt: AttemptFolder) -> None:
    tells(attempt, 0, "ValueError: late", 9.0)
    tells(attempt, 1, "KeyError: early", 3.0)
    tells(attempt, 2, "ValueError: later", 10.0)
    made = a_node({0: (1, 3.0), 1: (1, 9.9), 2: (1, 1.0)})
    assert first_line(made, attempt) == "KeyError: early"


def test_a_story_comes_before_a_bare_status_and_says_where(attempt: AttemptFolder) -> None:
    tells(attempt, 1, "ValueError: x", 5.0, "reviews.csv row 3")
    made = a_node({0: (1, 1.0), 1: (1, 5.0)})
    (problem,) = made.failure(attempt).problems  # type: ignore[union-attr]
    assert problem == node.Problem("ValueError: x", "reviews.csv row 3", "mend it")
    tells(attempt, 1, "ValueError: x", 5.0)
    (problem,) = made.failure(attempt).problems  # type: ignore[union-attr]
    assert problem.where == f"rank 1, log {attempt.log(1)}"


def test_a_rank_that_says_nothing_is_told_by_its_status(attempt: AttemptFolder) -> None:
    assert first_line(a_node({0: (3, 1.0), 1: (0, 1.0)}), attempt) == "rank 0 ended with status 3"
    assert first_line(a_node({0: (-11, 1.0)}), attempt) == "rank 0 was killed by SIGSEGV"


def test_a_nursery_that_dies_is_the_cause(attempt: AttemptFolder) -> None:
    made = a_node({}, running={0, 1}, process=Ended(-9))
    assert first_line(made, attempt) == "the process that starts the ranks ended with status -9"


NURSERY = """
import json, socket, sys, time
link = socket.socket(fileno=int(sys.argv[1]))
def say(**told): link.sendall(json.dumps(told).encode() + b"\\n")
say(ready=True)
say(ended=0, status=1, time=time.time())
heard = b""
while b"\\n" not in heard:
    heard += link.recv(4096)
say(ended=1, status=-json.loads(heard)["signal"], time=time.time())
link.recv(1)
"""
"""Rank 0 breaks at once; rank 1 hangs until a signal comes."""


def test_a_hung_rank_is_killed_once_another_broke(attempt: AttemptFolder, monkeypatch) -> None:
    monkeypatch.setattr(node, "SECONDS_TO_SPEAK", 0.3)
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", NURSERY, str(theirs.fileno())]
    made = Node(subprocess.Popen(command, pass_fds=[theirs.fileno()]), ours, running={0, 1})
    theirs.close()
    began, ticks = time.monotonic(), []
    made.watch(lambda: ticks.append(time.monotonic()), lambda: 0)
    made.close()
    assert made.ready and not made.running and ticks
    assert made.ended[1][0] == -signal.SIGKILL
    assert 0.3 < time.monotonic() - began < 5
    assert first_line(made, attempt) == "rank 0 ended with status 1"
    assert made.process.poll() is not None, "nothing is left behind"


SLOW_TO_SAVE = """
import json, socket, sys, time
link = socket.socket(fileno=int(sys.argv[1]))
def heard():
    found = b""
    while b"\\n" not in found:
        found += link.recv(4096)
    return json.loads(found.splitlines()[-1])["signal"]
first = heard()
link.settimeout(1.5)
try:
    status = -heard()
except TimeoutError:
    status = 75
link.sendall(json.dumps({"ended": 0, "status": status, "time": time.time()}).encode() + b"\\n")
link.settimeout(None)
link.recv(1)
"""
"""Asked to stop, it takes a second and a half."""


@pytest.mark.parametrize(("section", "status"), [("saving", 75), ("training", -signal.SIGKILL)])
def test_a_rank_that_saves_is_not_hurried(attempt: AttemptFolder, monkeypatch, section: str, status: int) -> None:
    monkeypatch.setattr(node, "SECONDS_TO_SAVE", 0.5)
    monkeypatch.setattr(stillness, "SECONDS_BETWEEN_LOOKS", 0.1)
    rundir.write_json(attempt.pulse(0), {"section": section, "step": 3, "steps": 9, "time": time.time()})
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", SLOW_TO_SAVE, str(theirs.fileno())]
    nursery = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    made = Node(nursery, ours, running={0}, processes={0: nursery.pid}, stillness=stillness.Stillness(attempt))
    theirs.close()
    made.watch(lambda: None, lambda: 1)
    made.close()
    assert made.ended[0][0] == status


def test_a_rank_gets_the_ordinary_variables_and_nothing_of_ours(make, monkeypatch) -> None:
    from launcher.recipe import resolve
    from launcher.spec.placement import Facts, Placement

    loaded = resolve(make(), Path("x.py"), "", {})
    prepared = {"folder": "x", "rows": {"train": 9}}
    planned = plan.make(loaded, Facts(cores=8, memory_bytes=1), Placement(processes=2), prepared, {})
    assert node.rank_environment(planned, 1) == {
        "RANK": "1",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "4",
    }


def test_what_other_launchers_left_is_not_handed_down(monkeypatch) -> None:
    for name in ("ACCELERATE_MIXED_PRECISION", "FSDP_VERSION", "RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    handed = node._nursery_environment()
    assert not [name for name in handed if name.startswith(("ACCELERATE_", "FSDP_"))]
    assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE"} & set(handed)
    assert handed["CUDA_VISIBLE_DEVICES"] == "0" and handed["PATH"] == os.environ["PATH"]
