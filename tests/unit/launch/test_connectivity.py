"""Machines that try whether they reach each other: real sockets of this machine, one thread for each."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from launcher.errors import BackendError, Problem
from launcher.host import network
from launcher.launch import connectivity
from launcher.launch.connectivity import Endpoint

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
Answer = bool | list[str]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "SECONDS_TO_COME", 3.0)
    monkeypatch.setattr(connectivity, "SECONDS_TO_ANSWER", 2.0)
    monkeypatch.setattr(connectivity, "SECONDS_TO_CONNECT", 1.0)


@pytest.fixture
def meet() -> Iterator[Callable[..., dict[int, Answer]]]:
    """Have these machines of three meet, the others do not come; what each says in the end."""
    asked = 0

    def run(
        *numbers: int, unwell: int | None = None, late: int | None = None, stopped_after: float = 60.0
    ) -> dict[int, Answer]:
        head, said = (ADDRESSES[0], network.free_port(ADDRESSES[0])), dict[int, Answer]()
        stopped = time.monotonic() + stopped_after

        def one(number: int) -> None:
            here = Endpoint(number, ADDRESSES[number], lambda: asked or int(time.monotonic() > stopped))
            time.sleep(1.0 if number == late else 0.0)
            try:
                said[number] = connectivity.try_all(here, len(ADDRESSES), head, number != unwell)
            except BackendError as error:
                said[number] = [problem.what for problem in error.problems]

        threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in numbers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        return said

    yield run
    asked = 1


def test_machines_that_reach_each_other_go_on(meet: Callable[..., dict[int, Answer]]) -> None:
    began = time.monotonic()
    assert meet(0, 1, 2) == {0: True, 1: True, 2: True}
    assert time.monotonic() - began < 2.5, "nobody has waited for a time to be over"


def test_where_one_is_not_well_no_other_goes_on(meet: Callable[..., dict[int, Answer]]) -> None:
    assert meet(0, 1, 2, unwell=1) == {0: False, 1: False, 2: False}
    assert meet(0, 1, 2, unwell=0) == {0: False, 1: False, 2: False}


def test_a_door_that_one_machine_finds_shut_is_named_and_stops_all(
    meet: Callable[..., dict[int, Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two that are not the first, and one way only."""
    shut, probe = network.free_port(ADDRESSES[1]), connectivity._probe

    def one_way(here: Endpoint, ports: dict[int, tuple[str, str, int]]) -> list[Problem]:
        return probe(here, {**ports, 1: (*ports[1][:2], shut)} if here.number == 2 else ports)

    monkeypatch.setattr(connectivity, "_probe", one_way)
    me = socket.gethostname()
    what = f"{me} does not reach {me} at {ADDRESSES[1]} port {shut}: connection refused"
    assert meet(0, 1, 2) == {0: False, 1: False, 2: [what]}


def test_a_machine_that_finds_no_way_to_the_first_says_so(meet: Callable[..., dict[int, Answer]]) -> None:
    (what,) = meet(1)[1]  # type: ignore[misc]
    assert what.startswith(f"{socket.gethostname()} does not reach the first machine at {ADDRESSES[0]} port ")
    assert what.endswith(": connection refused")


@pytest.mark.parametrize("late", [0, 2])
def test_a_machine_that_comes_late_is_waited_for(
    meet: Callable[..., dict[int, Answer]], monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    """A door that is not open yet is no firewall, however long that takes."""
    monkeypatch.setattr(connectivity, "SECONDS_TO_ANSWER", 0.2)
    assert meet(0, 1, 2, late=late) == {0: True, 1: True, 2: True}


@pytest.mark.parametrize(("numbers", "missing"), [((0, 1), "2"), ((0,), "1, 2")])
def test_beside_one_that_does_not_come_no_other_starts(
    meet: Callable[..., dict[int, Answer]], numbers: tuple[int, ...], missing: str
) -> None:
    said = meet(*numbers)
    assert said.pop(0) == [f"machine {missing} did not come in 3 s"]
    assert set(said.values()) <= {False}


def test_who_is_not_well_does_not_wait_for_one_that_does_not_come(
    meet: Callable[..., dict[int, Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connectivity, "SECONDS_TO_COME", 15.0)
    began = time.monotonic()
    assert meet(0, 1, unwell=1) == {0: False, 1: False}, "its own reason is told, not the other's absence"
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("numbers", [(0, 1), (1,)])
def test_who_is_asked_to_end_waits_for_nobody_and_starts_nothing(
    meet: Callable[..., dict[int, Answer]], monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, ...]
) -> None:
    monkeypatch.setattr(connectivity, "SECONDS_TO_COME", 15.0)
    began = time.monotonic()
    assert meet(*numbers, stopped_after=0.5) == dict.fromkeys(numbers, False)
    assert time.monotonic() - began < 8


def test_a_way_that_is_shut_is_told_before_all_that_are_late_would_have_come(
    meet: Callable[..., dict[int, Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a machine that is there can refuse: where nothing answers, waiting longer helps nobody."""

    def shut(*_: object, **__: object) -> socket.socket:
        raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

    monkeypatch.setattr(connectivity, "SECONDS_TO_COME", 15.0)
    monkeypatch.setattr(socket, "create_connection", shut)
    began = time.monotonic()
    (what,) = meet(1)[1]  # type: ignore[misc]
    assert what.endswith(": no route to host")
    assert time.monotonic() - began < 8
