"""Why an attempt failed: the root cause, from how the ranks ended and what they wrote."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from launcher import Interrupted, WorkerError, json_files
from launcher.host import vital_signs
from launcher.launch import node
from launcher.launch.fork_server import ForkServer, server_environment
from launcher.launch.node import Node
from launcher.plan import plan
from launcher.runs import watchdog
from launcher.runs.attempt import AttemptFolder
from launcher.runs.root_cause import AFTERSHOCKS
from launcher.runs.run_folder import RunFolder

PEER = "RuntimeError: [gloo] Connection closed by peer [127.0.0.1]:4242"


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptFolder:
    return RunFolder(tmp_path).new_attempt()


def a_node(ended: dict[int, tuple[int, float]], **more: Any) -> Node:
    return Node(ForkServer(0, socket.socket(), lambda: None), ended=ended, **more)


def tells(attempt: AttemptFolder, rank: int, what: str, when: float, where: str = "") -> None:
    """The failure file that a rank writes about itself."""
    document = WorkerError(node.Problem(what, where, "mend it")).document()
    json_files.write_json(attempt.failure(rank), {**document, "time": when})


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


SERVER = """
import json, os, signal, socket, subprocess, sys, time
link = socket.socket(fileno=int(sys.argv[1]))
def say(**told): link.sendall(json.dumps(told).encode() + b"\\n")
say(ready=os.getpid())
ranks = {}
for number, code in enumerate(sys.argv[2:]):
    ranks[number] = subprocess.Popen([sys.executable, "-c", code])
    say(started=number, pid=ranks[number].pid)
SILENT
while ranks:
    for number, process in list(ranks.items()):
        if process.poll() is not None:
            say(ended=number, status=process.returncode, time=time.time())
            del ranks[number]
    time.sleep(0.01)
link.recv(1)
"""
"""Starts what its words say as ranks, and tells how they end."""
BREAKS, HANGS = "raise SystemExit(1)", "import time; time.sleep(60)"
SLOW_TO_SAVE = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1.5), sys.exit(75))); "
    "print(flush=True); time.sleep(60)"
)


def serving(*ranks: str, silent: str = "") -> Node:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", SERVER.replace("SILENT", silent), str(theirs.fileno()), *ranks]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL)
    theirs.close()
    made = Node(ForkServer(process.pid, ours, process.poll), running=set(range(len(ranks))))
    while len(made.ranks) + len(made.ended) < len(ranks):
        made._listen(0.1)
    return made


def test_a_hung_rank_is_killed_once_another_broke(attempt: AttemptFolder, monkeypatch) -> None:
    monkeypatch.setattr(node, "SECONDS_TO_SPEAK", 0.3)
    made = serving(BREAKS, HANGS)
    began, ticks = time.monotonic(), []
    made.watch(lambda: ticks.append(time.monotonic()), lambda: 0)
    made.close()
    assert made.server.ready and not made.running and ticks
    assert made.ended[1][0] == -signal.SIGKILL
    assert 0.3 < time.monotonic() - began < 20
    assert first_line(made, attempt) == "rank 0 ended with status 1"
    assert made.server.poll() is not None, "nothing is left behind"


@pytest.mark.parametrize(("section", "status"), [("saving", 75), ("training", -signal.SIGKILL)])
def test_a_rank_that_saves_is_not_hurried(attempt: AttemptFolder, monkeypatch, section: str, status: int) -> None:
    monkeypatch.setattr(node, "SECONDS_TO_SAVE", 0.3)
    beat = {"section": section, "step": 3, "steps": 9, "time": time.time()}
    attempt.pulse(0).write_text(json.dumps(beat))
    made = serving(SLOW_TO_SAVE)
    time.sleep(0.5)  # until it listens
    made.watchdog = watchdog.Watchdog(attempt)
    made.watchdog.begin(attempt, 1000.0, alone=True)
    made.watch(lambda: None, lambda: 1)
    made.close()
    assert made.ended[0][0] == status


def test_before_a_rank_has_begun_there_is_nothing_to_save(attempt: AttemptFolder) -> None:
    attempt.pulse(0).write_text(json.dumps({"section": "starting", "step": 0, "steps": 9, "time": time.time()}))
    made = serving(HANGS)
    made.watchdog = watchdog.Watchdog(attempt)
    began = time.monotonic()
    made.watch(lambda: None, lambda: 1)
    assert first_line(made, attempt) == "stopped before there was anything to save"
    assert time.monotonic() - began < 20 and made.server.poll() is not None
    made.close()


def test_a_server_that_dies_is_the_cause_and_takes_its_ranks_along(attempt: AttemptFolder) -> None:
    made = serving(HANGS)
    os.kill(made.server.pid, signal.SIGKILL)
    rank = made.ranks[0]
    made.watch(lambda: None, lambda: 0)
    error = made.failure(attempt)
    assert error is not None and error.repeatable
    assert first_line(made, attempt) == "the process that starts the ranks ended with status -9"
    assert not living(rank.pid)
    made.close()


@pytest.mark.parametrize("silent", ["os.kill(os.getpid(), signal.SIGSTOP)", "time.sleep(60)"])
def test_a_server_that_stands_still_is_lost(attempt: AttemptFolder, monkeypatch, silent: str) -> None:
    monkeypatch.setattr(node, "SECONDS_TO_REPORT", 0.5)
    made = serving(HANGS, silent=silent)
    made.watchdog = watchdog.Watchdog(attempt)
    made.watchdog.begin(attempt, 1.0, alone=True)
    made.watch(lambda: None, lambda: 0)
    told = first_line(made, attempt)
    assert told.startswith("the process that starts the ranks ")
    assert told.endswith("it was stopped" if "STOP" in silent else "has not answered for 1 s"), told
    made.close()


def test_twice_asked_everything_ends_where_the_server_stands_still(attempt: AttemptFolder) -> None:
    made = serving(HANGS, silent="os.kill(os.getpid(), signal.SIGSTOP)")
    attempt.pulse(0).write_text(json.dumps({"section": "training", "step": 3, "steps": 9, "time": time.time()}))
    made.watchdog = watchdog.Watchdog(attempt)
    made.watchdog.begin(attempt, 1000.0, alone=True)
    rank, began = made.ranks[0], time.monotonic()
    made.watch(lambda: None, lambda: 2)
    made.close()
    assert time.monotonic() - began < 20
    assert not living(rank.pid)


def test_ranks_that_end_without_a_word_of_the_server_are_the_end(attempt: AttemptFolder) -> None:
    made = serving("pass", silent="os.kill(os.getpid(), signal.SIGSTOP)")
    made.watchdog = watchdog.Watchdog(attempt)
    made.watchdog.begin(attempt, 1000.0, alone=True)
    made.watch(lambda: None, lambda: 0)
    assert first_line(made, attempt) == "the process that starts the ranks does not report how they ended"
    made.close()


def living(pid: int) -> bool:
    return (vital_signs.state_of(pid) or "Z") != "Z"


def test_a_rank_gets_the_ordinary_variables_and_nothing_of_ours(make, monkeypatch) -> None:
    from launcher.host.facts import Facts
    from launcher.plan.placement import Placement
    from launcher.recipe.recipe import resolve

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
    handed = server_environment()
    assert not [name for name in handed if name.startswith(("ACCELERATE_", "FSDP_"))]
    assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE"} & set(handed)
    assert handed["CUDA_VISIBLE_DEVICES"] == "0" and handed["PATH"] == os.environ["PATH"]
