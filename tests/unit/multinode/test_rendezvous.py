"""What is typed on each machine is judged before anything is started; strangers do no harm."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import BackendError, PlanError
from launcher.host import network
from launcher.host.connection import LONGEST, Channel
from launcher.multinode import rendezvous
from launcher.multinode.rendezvous import Gathering, Meeting, meeting

TYPED: dict[str, Any] = {
    **{"machines": 2, "processes": None, "strategy": "auto", "device": "cpu"},
    **{"recipe": "/r.py", "digest": "d", "versions": {"python": "3.11", "torch": "2.9"}},
}


@pytest.fixture
def gathered(request: pytest.FixtureRequest) -> Iterator[tuple[Gathering, list[str]]]:
    told: list[str] = []
    wait = getattr(request, "param", 20.0)
    port = network.free_port("127.0.0.1")
    made = Gathering.open(Meeting(2, 0, "127.0.0.1", port, wait), told.append)
    yield made, told
    made.close()


def call(made: Gathering) -> Channel:
    return Channel(socket.create_connection(("127.0.0.1", made.meeting.port)))


def answer(line: Channel) -> dict[str, Any]:
    for _ in range(100):
        if heard := line.heard(0.1):
            return heard[0]
    raise AssertionError(f"no answer: {line.lost}")


def test_the_options_are_judged_together() -> None:
    with pytest.raises(PlanError) as caught:
        meeting(1, None, "node1", 1.0)
    assert [problem.where for problem in caught.value.problems] == ["--machines", "--machine-rank", "--head"]
    assert "'node1' is not HOST:PORT" in str(caught.value)
    with pytest.raises(PlanError, match="there is no machine 2"):
        meeting(2, 2, "node1:29500", 1.0)
    assert meeting(2, 1, "[::1]:29500", 1.0).head == "[::1]:29500"


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"machines": 3}, "--machines is 3 there and 2 on machine 0"),
        ({"strategy": "zero2"}, "--strategy is zero2 there and auto on machine 0"),
        ({"recipe": "/s.py"}, "the recipe is /s.py there and /r.py on machine 0"),
        ({"digest": "e"}, "the recipe has other values there"),
        ({"versions": {"python": "3.11", "torch": "2.8"}}, r"its libraries differ: torch 2.8 \(here 2.9\)"),
        ({"versions": None}, "its libraries differ: python None"),
    ],
)
def test_each_difference_is_named(changed: dict[str, Any], what: str) -> None:
    (problem,) = rendezvous.differences(TYPED, {**TYPED, **changed})
    with pytest.raises(PlanError, match=what):
        raise PlanError(problem)
    assert list(rendezvous.differences(TYPED, TYPED)) == []


def test_strangers_and_late_comers_are_turned_away_and_the_right_one_is_taken(
    gathered: tuple[Gathering, list[str]],
) -> None:
    made, told = gathered
    lines = [call(made) for _ in range(5)]
    waiting = threading.Thread(daemon=True, target=made.wait, args=(TYPED,))
    waiting.start()
    lines[0].connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    lines[1].connection.sendall(b"[1, 2]\n")
    lines[2].say({"hello": {**TYPED, "number": 0, "host": "twin"}})
    lines[3].say({"hello": {**TYPED, "number": "1; rm -rf /", "host": "odd"}})
    refusals = [answer(line)["refused"]["problems"][0]["what"] for line in lines[2:4]]
    assert refusals == [f"machine {name} is here already, or is not one of these" for name in ("0", "1; rm -rf /")]
    lines[4].say({"hello": {**TYPED, "number": 1, "host": "node2\x1b[2J"}})
    waiting.join(10)
    assert not waiting.is_alive()
    assert {number: other.host for number, other in made.others.items()} == {1: "node2\x1b[2J"}
    assert told[-1] == r"machine 1 is here: node2\x1b[2J", "what a stranger says does not steer the terminal"
    with pytest.raises(ConnectionRefusedError):
        call(made)


def test_a_line_that_never_ends_is_closed() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(listening.getsockname())
    line = Channel(listening.accept()[0])
    sent = threading.Thread(daemon=True, target=lambda: sender.sendall(b"x" * (LONGEST + (1 << 16))))
    sent.start()
    for _ in range(100):
        assert line.heard(0.1) == []
        if line.lost:
            break
    assert line.lost == "it sends what is no message of ours"
    line.close()
    sender.close()
    sent.join(5)


@pytest.mark.parametrize("gathered", [0.3], indirect=True)
def test_machines_that_do_not_come_are_named(gathered: tuple[Gathering, list[str]]) -> None:
    made, told = gathered
    with pytest.raises(BackendError, match=r"waited 0 s for machine 1"):
        made.wait(TYPED)
    assert told == [f"machine 0 waits at {made.meeting.head} for machine 1"]


def test_a_head_that_is_not_this_machine_is_refused() -> None:
    with pytest.raises(BackendError, match=r"machine 0 cannot listen at 203\.0\.113\.9:29500"):
        Gathering.open(Meeting(2, 0, "203.0.113.9", 29500), print)


@pytest.mark.parametrize(("secret", "seen"), [(True, 0), (False, 1)])
def test_a_machine_must_write_the_secret_that_it_was_shown(
    gathered: tuple[Gathering, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: bool, seen: int
) -> None:
    monkeypatch.setattr(rendezvous, "SECONDS_TO_SHOW", 0.5)
    made, _ = gathered
    line = call(made)
    line.say({"hello": {**TYPED, "number": 1, "host": "node2"}})
    made.wait(TYPED)

    def show() -> None:
        path = Path(answer(line)["show"])
        path.with_name(f"{path.name}.1").write_text(path.read_text() if secret else "guessed")
        line.say({"shown": True})

    showing = threading.Thread(daemon=True, target=show)
    showing.start()
    found = []
    try:
        made.share_disk(tmp_path, "/prepared")
    except BackendError as error:
        found = error.problems
    showing.join(5)
    assert len(found) == seen, json.dumps([problem.document() for problem in found])
    assert list(tmp_path.iterdir()) == []
