"""Whether the machines of a run are fit and reach each other, tried in milliseconds before their ranks load a model.

Each checks itself (`launch.preflight`). Then several probe each other's ports: a firewall that lets only some ports
through would otherwise show only when ranks wait for each other in vain. Machine 0 opens a port that all others know;
each of these opens one of its own and reports it to machine 0, which sends the list to all; each connects to every
other. What arrives at a probe port is not read. Each listens at the address that its ranks will use, and at no other,
until all have probed.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from launcher.errors import BackendError, Problem
from launcher.host import network
from launcher.host.connection import Channel
from launcher.launch import preflight
from launcher.launch.node import Machine
from launcher.plan.plan import Plan
from launcher.runs.attempt import AttemptFolder

SECONDS_TO_COME = 300.0
"""For all machines to come so far. A cluster may look at a node (its GPUs, its disks) for a minute or two before the
first step on it begins, and a cold disk may take as long to load a Python environment. One that has found something
wrong with itself comes too, and says so."""
SECONDS_TO_ANSWER = 30.0
"""For what a late machine cannot explain: an address that does not even refuse, a machine that came and is silent.
Also for the others to come once one is not fit: then none starts, and each is to say what is wrong with it."""
SECONDS_TO_CONNECT = 5.0
PAUSE = 0.05
DO = "open the TCP ports between the machines of a run (a firewall?), or name another network to them"
DO_LATE = f"look there for what kept it (the node's own checks, a slow disk, a node that is down); if nothing did, {DO}"


@dataclass(frozen=True)
class Endpoint:
    """This machine among those of the run."""

    number: int
    address: str
    """The one at which its ranks will be reached."""
    stop_level: Callable[[], int]
    """More than 0 once the run is to stop."""


def fit(
    plan: Plan,
    attempt: AttemptFolder,
    machine: Machine,
    stop_level: Callable[[], int],
    probe_port: int,
    say: Callable[[str], None],
) -> bool:
    """Whether this machine and all others may start their ranks. Raises BackendError with what is wrong here.

    `probe_port` is the port of machine 0's address at which they find each other.
    """
    wrong = None
    try:
        say(preflight.check(plan, attempt, machine.number))
    except BackendError as error:
        wrong = error
    well = wrong is None
    if machine.head is not None:
        address = machine.head[0] if machine.number == 0 else network.address_towards(machine.head[0])
        well = try_all(Endpoint(machine.number, address, stop_level), plan.nodes, (machine.head[0], probe_port), well)
    if wrong is not None:
        raise wrong
    return well


def try_all(here: Endpoint, machines: int, head: tuple[str, int], well: bool) -> bool:
    """Whether every machine is fit, and may start its ranks. Raises BackendError with what this one cannot reach.

    `head` is where machine 0 listens; `well` is whether this machine has found nothing wrong with itself.
    """
    return _lead(here, machines, head, well) if here.number == 0 else _follow(here, head, well)


def _lead(here: Endpoint, machines: int, head: tuple[str, int], well: bool) -> bool:
    with contextlib.ExitStack() as opened:
        listening = opened.enter_context(_listen(*head))
        others: dict[int, Channel] = {}
        messages = _gather(here, listening, machines - 1, opened, others, well)
        well = well and all(message["well"] for message in messages.values())
        if missing := [str(number) for number in range(1, machines) if number not in messages]:
            _say(others, {"well": False})
            if well and not here.stop_level():
                what = f"machine {', '.join(missing)} did not come in {SECONDS_TO_COME:.0f} s"
                raise BackendError(Problem(what, f"waited for at {head[0]} port {head[1]}", DO_LATE))
            return False
        ports = {number: (str(message["host"]), str(message["address"]), int(message["port"]))
                 for number, message in messages.items()}  # fmt: skip
        _say(others, {"well": well, "doors": [[number, *port] for number, port in ports.items()]})
        if not well:
            return False
        problems = _probe(here, ports)
        answers = _answers(here, others)
        all_reached = len(answers) == len(others) and all(message.get("reached") for message in answers)
        _say(others, {"well": not problems and all_reached})
        if problems:
            raise BackendError(problems)
        return all_reached


def _follow(here: Endpoint, head: tuple[str, int], well: bool) -> bool:
    with contextlib.ExitStack() as opened:
        listening = opened.enter_context(_listen(here.address, 0))
        line = _call(here, head)
        if line is None:
            return False
        opened.callback(line.close)
        mine = {"number": here.number, "host": socket.gethostname(), "address": here.address}
        line.say({**mine, "port": listening.getsockname()[1], "well": well})
        message = _hear(here, line, SECONDS_TO_COME)
        if not message.get("well"):
            # machine 0 says nothing more: what ended it is reported elsewhere
            return not message and not here.stop_level()
        ports = {int(number): (str(host), str(address), int(port)) for number, host, address, port in message["doors"]}
        problems = _probe(here, {number: port for number, port in ports.items() if number != here.number})
        line.say({"reached": not problems})
        # until that is said others may still connect here
        all_well = bool(_hear(here, line, SECONDS_TO_ANSWER).get("well", True))
        if problems:
            raise BackendError(problems)
        return all_well


def _listen(address: str, port: int) -> socket.socket:
    """Raises BackendError where it cannot be opened."""
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family, backlog=1024)
    except OSError as error:
        what = f"{socket.gethostname()} cannot listen at {address}: {str(error.strerror).lower()}"
        raise BackendError(Problem(what, address, "try again: another process may have taken the port")) from None


def _gather(
    here: Endpoint,
    listening: socket.socket,
    count: int,
    opened: contextlib.ExitStack,
    others: dict[int, Channel],
    well: bool,
) -> dict[int, dict[str, Any]]:
    """The message of each other machine that came. `well` is whether this machine is fit."""
    began, messages, strangers = time.monotonic(), dict[int, dict[str, Any]](), list[Channel]()
    while len(messages) < count and not here.stop_level():
        all_well = well and all(message["well"] for message in messages.values())
        if time.monotonic() > began + (SECONDS_TO_COME if all_well else SECONDS_TO_ANSWER):
            break
        if select.select([listening], [], [], PAUSE)[0]:
            strangers.append(Channel(listening.accept()[0]))
            opened.callback(strangers[-1].close)
        for line in strangers:
            for message in line.heard():
                if isinstance(message.get("number"), int) and {"host", "address", "port", "well"} <= set(message):
                    others[message["number"]], messages[message["number"]] = line, message
    return messages


def _call(here: Endpoint, head: tuple[str, int]) -> Channel | None:
    """The line to machine 0, which may come later; None when the run is to stop. Raises BackendError after a while."""
    began = refused = time.monotonic()
    while not here.stop_level():
        do = DO
        try:
            return Channel(socket.create_connection(head, timeout=SECONDS_TO_CONNECT))
        except ConnectionRefusedError as error:  # it is there, and does not listen yet
            refused, why, do = time.monotonic(), str(error.strerror or error).lower(), DO_LATE
        except OSError as error:
            why = str(error.strerror or error).lower()
        if time.monotonic() > min(began + SECONDS_TO_COME, refused + SECONDS_TO_ANSWER):
            raise BackendError(_unreached("the first machine", head, why, do))
        time.sleep(PAUSE)
    return None


def _hear(here: Endpoint, line: Channel, seconds: float) -> dict[str, Any]:
    """The next message within so long and the time to connect; empty when none comes."""
    deadline = time.monotonic() + seconds + SECONDS_TO_CONNECT
    while not line.lost and time.monotonic() < deadline and not here.stop_level():
        for message in line.heard(PAUSE):
            return message
    return {}


def _answers(here: Endpoint, others: dict[int, Channel]) -> list[dict[str, Any]]:
    return [answer for line in others.values() if (answer := _hear(here, line, SECONDS_TO_ANSWER))]


def _say(others: dict[int, Channel], message: dict[str, Any]) -> None:
    for line in others.values():
        line.say(message)


def _probe(here: Endpoint, ports: dict[int, tuple[str, str, int]]) -> list[Problem]:
    """Connect to all of them at once; those that do not accept."""
    if not ports:
        return []
    with ThreadPoolExecutor(max_workers=min(32, len(ports))) as pool:
        return [problem for problem in pool.map(_try, ports.values()) if problem is not None]


def _try(probe_port: tuple[str, str, int]) -> Problem | None:
    host, address, port = probe_port
    try:
        socket.create_connection((address, port), timeout=SECONDS_TO_CONNECT).close()
    except OSError as error:
        return _unreached(host, (address, port), str(error.strerror or error).lower())
    return None


def _unreached(host: str, target: tuple[str, int], why: str, do: str = DO) -> Problem:
    me = socket.gethostname()
    return Problem(f"{me} does not reach {host} at {target[0]} port {target[1]}: {why}", f"{me} to {host}", do)
