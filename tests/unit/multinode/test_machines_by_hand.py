"""Several machines without Slurm: whose fault it was, who is asked what, and where a machine writes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher import json_files
from launcher.errors import Problem, WorkerError
from launcher.host.connection import Channel
from launcher.host.stop_requests import StopRequests
from launcher.launch.fork_server import ForkServer
from launcher.launch.node import Node
from launcher.multinode import member
from launcher.multinode.leader import Machines
from launcher.multinode.rendezvous import Gathering, Meeting, Other
from launcher.runs.attempt import AttemptFolder
from launcher.runs.run_folder import RunFolder


def alive() -> ForkServer:
    """A nursery's process that is still there."""
    return ForkServer(os.getpid(), socket.socket(), lambda: None)


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptFolder:
    return RunFolder(tmp_path).new_attempt()


@pytest.fixture
def pair() -> Iterator[tuple[Machines, Channel]]:
    """Machine 0 with its line to machine 1, and the other end of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        there = socket.create_connection(listening.getsockname())
        here = listening.accept()[0]
        gathered = Gathering(Meeting(2, 0, "node1", 29500), print, listening, "127.0.0.1")
        gathered.others[1] = Other(1, "node2", Channel(here))
        node = Node(alive(), ended={0: (0, 1.0)})
        yield Machines(gathered, node, StopRequests()), Channel(there)
        here.close()
        there.close()


def tells(attempt: AttemptFolder, rank: int, what: str) -> None:
    document = WorkerError(Problem(what)).document()
    json_files.write_json(attempt.failure(rank), {**document, "time": 2.0})


def ended(status: int = 0, *problems: Problem) -> dict[str, Any]:
    ranks = {} if problems else {"1": [status, 3.0]}
    return {"ended": ranks, "killed_at": None, "problems": [problem.document() for problem in problems]}


def first(machines: Machines, attempt: AttemptFolder) -> str:
    error = machines.failure(attempt)
    assert error is not None
    return error.problems[0].what


def test_all_that_ended_well_is_no_failure(pair: tuple[Machines, Channel], attempt: AttemptFolder) -> None:
    pair[0].gathered.others[1].report = ended()
    assert pair[0].failure(attempt) is None


def test_a_machine_that_is_gone_is_the_cause_not_what_its_neighbours_say(
    pair: tuple[Machines, Channel], attempt: AttemptFolder
) -> None:
    machines, there = pair
    there.close()
    machines.watch(lambda: None, lambda: 0)
    machines.node.ended[0] = (70, 2.0)
    tells(attempt, 0, "RuntimeError: [gloo] Connection closed by peer [10.0.0.2]:4242")
    assert first(machines, attempt) == "machine 1 (node2) is gone: it has ended"


def test_a_machine_that_is_gone_is_the_cause_also_where_nccl_aborts_its_neighbours(
    pair: tuple[Machines, Channel], attempt: AttemptFolder
) -> None:
    """Another attempt would have to do without it: there is none."""
    machines, there = pair
    there.close()
    machines.watch(lambda: None, lambda: 0)
    machines.node.ended[0] = (-6, 2.0)
    error = machines.failure(attempt)
    assert error is not None and not error.repeatable
    assert error.problems[0].what == "machine 1 (node2) is gone: it has ended"


def test_a_rank_that_broke_by_itself_comes_first(pair: tuple[Machines, Channel], attempt: AttemptFolder) -> None:
    machines, _ = pair
    machines.node.ended[0] = (70, 2.0)
    tells(attempt, 0, "ArithmeticError: the loss is NaN")
    assert first(machines, attempt) == "ArithmeticError: the loss is NaN"


def test_a_machine_that_started_no_ranks_says_why(pair: tuple[Machines, Channel], attempt: AttemptFolder) -> None:
    machines, _ = pair
    machines.node.ended[0] = (-9, 2.0)
    machines.gathered.others[1].report = ended(0, Problem("node2 sees 0 GPUs"))
    assert first(machines, attempt) == "node2 sees 0 GPUs"


def test_a_stop_is_heard_from_there_and_told_there_once(pair: tuple[Machines, Channel]) -> None:
    machines, there = pair
    there.say({"asked": 1})
    there.say({"ended": ended()})
    machines.watch(lambda: None, machines.stop)
    assert machines.stop() == 1, "a Ctrl-C on any machine counts as one here"
    assert machines.gathered.others[1].report == ended()
    assert there.heard(1.0) == [{"ask": 1}]


def test_the_secret_is_copied_below_the_own_runs_folder_only(tmp_path: Path) -> None:
    runs, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    runs.mkdir()
    elsewhere.mkdir()
    for folder in (runs, elsewhere):
        (folder / ".machines-1").write_text("secret")
    (tmp_path / "facts.json").write_text("{}")
    told = member._show(1, runs, str(runs / ".machines-1"), str(tmp_path), 1.0)
    assert (told, (runs / ".machines-1.1").read_text()) == ({"shown": True}, "secret")
    told = member._show(1, runs, str(elsewhere / ".machines-1"), str(tmp_path), 1.0)
    assert told["problems"][0]["what"] == f"--runs is {runs} here and {elsewhere} on machine 0"
    assert not (elsewhere / ".machines-1.1").exists()
    told = member._show(1, runs, str(runs / ".machines-2"), "/nowhere", 0.1)
    assert [problem["what"].partition(" ")[2] for problem in told["problems"]] == [
        "cannot use machine 0's runs folder: no such file or directory",
        "does not see the prepared data",
    ]
