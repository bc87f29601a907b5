"""Machines of a run without Slurm, gathered and checked before anything is started: machine 0's side.

Machine 0 listens at the head's HOST:PORT, at that address alone. The others send it the options of their command
(`multinode.member`); one that differs is turned away, and the rest go on waiting. Then all must show that they read
and write the same runs folder, by a copy of a secret that machine 0 puts there.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, PlanError, Problem, printable
from launcher.host.connection import Channel

SECONDS_TO_SHOW = 30.0
"""For a file to be seen on a shared disk: some cache what a folder holds for a while."""
SECONDS_BETWEEN_MESSAGES = 30.0
MOST_STRANGERS = 64
"""Connections that have not said hello yet; the oldest is closed for another one."""
PAUSE = 0.2
NAMES = {"machines": "--machines", "processes": "--processes", "strategy": "--strategy", "device": "--device"}
"""What must be the same on all machines, and its option."""


@dataclass(frozen=True)
class Meeting:
    """What `--machines`, `--machine-rank` and `--head` say."""

    machines: int
    number: int
    host: str
    port: int
    wait: float = 600.0
    """Seconds that the machines wait for each other."""

    @property
    def head(self) -> str:
        """As it is typed."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def meeting(machines: int, number: int | None, head: str | None, wait: float) -> Meeting:
    """The options, judged together. Raises PlanError with all that is wrong."""
    host, _, port = (head or "").rpartition(":")
    problems = []
    if machines < 2:
        problems.append(Problem(f"{machines} machines share nothing", "--machines", "give 2 or more, or leave it out"))
    if number is None or not 0 <= number < machines:
        what = "it was not said which machine this is" if number is None else f"there is no machine {number}"
        problems.append(Problem(what, "--machine-rank", f"give 0 on the head and 1 to {machines - 1} on the others"))
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        problems.append(Problem(f"{head or ''!r} is not HOST:PORT", "--head", "name machine 0, e.g. node1:29500"))
    if problems:
        raise PlanError(problems)
    assert number is not None  # a problem above
    return Meeting(machines, number, host.strip("[]"), int(port), wait)


@dataclass
class Other:
    """One of the other machines."""

    number: int
    host: str
    line: Channel
    report: dict[str, Any] | None = None
    """How its ranks ended in this attempt."""

    def gone(self) -> Problem:
        """The problem that the connection to it is lost."""
        why = self.line.lost or "it does not answer any more"
        do = "find out why, then type the same commands with --resume"
        return Problem(f"machine {self.number} ({self.host}) is gone: {why}", self.host, do)


@dataclass
class Gathering:
    """The machines that have come so far."""

    meeting: Meeting
    say: Callable[[str], None]
    listening: socket.socket
    address: str
    others: dict[int, Other] = field(default_factory=dict)

    @classmethod
    def open(cls, meeting: Meeting, say: Callable[[str], None]) -> Gathering:
        """Listen for the others. Raises BackendError where this machine does not have the head's name or port."""
        try:
            family, _, _, _, address = socket.getaddrinfo(meeting.host, meeting.port, type=socket.SOCK_STREAM)[0]
            listening = socket.create_server((str(address[0]), meeting.port), family=family, backlog=128)
        except OSError as error:
            what = f"machine 0 cannot listen at {meeting.head}: {error.strerror or error}"
            do = f"type --machine-rank 0 on {meeting.host}, with a free port; the others must reach it by that name"
            raise BackendError(Problem(what, "--head", do)) from None
        return cls(meeting, say, listening, str(address[0]))

    def wait(self, typed: dict[str, Any]) -> None:
        """Return once all others are here with the same command. Raises BackendError when they do not come."""
        deadline, next_message = time.monotonic() + self.meeting.wait, 0.0
        strangers: list[tuple[Channel, str]] = []
        while missing := [n for n in range(1, self.meeting.machines) if n not in self.others]:
            named = "machine " + ", ".join(map(str, missing))
            if time.monotonic() > deadline:
                what, do = f"waited {self.meeting.wait:.0f} s for {named}", "type the same line there, with its number"
                raise BackendError(Problem(what, self.meeting.head, do))
            if time.monotonic() > next_message:
                self.say(f"machine 0 waits at {self.meeting.head} for {named}")
                next_message = time.monotonic() + SECONDS_BETWEEN_MESSAGES
            if select.select([self.listening], [], [], PAUSE)[0]:
                connection, peer = self.listening.accept()
                strangers.append((Channel(connection), str(peer[0])))
                if len(strangers) > MOST_STRANGERS:
                    strangers.pop(0)[0].close()
            strangers = [(line, peer) for line, peer in strangers if not self._settled(line, peer, typed)]
            for other in list(self.others.values()):
                if other.line.heard() == [] and other.line.lost:
                    self.say(printable(f"machine {other.number} ({other.host}) has gone again"))
                    del self.others[other.number]
        self.listening.close()
        for line, _ in strangers:
            line.close()

    def share_disk(self, runs: Path, prepared: str) -> None:
        """Check that every machine reads and writes the same runs folder. Raises BackendError with all that do not."""
        secret = secrets.token_hex(16)
        path = runs.resolve() / f".machines-{secrets.token_hex(4)}"
        answers = {number: path.with_name(f"{path.name}.{number}") for number in self.others}
        try:
            runs.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secret, encoding="utf-8")
            for other in self.others.values():
                other.line.say({"show": str(path), "prepared": prepared, "seconds": SECONDS_TO_SHOW})
            problems = [problem for other in self.others.values() for problem in _shown(other, answers, secret)]
        except OSError as error:
            problems = [Problem(f"the runs folder cannot be written: {error.strerror}", str(runs))]
        finally:
            for made in (path, *answers.values()):
                with contextlib.suppress(OSError):
                    made.unlink(missing_ok=True)
        if problems:
            raise BackendError(problems)

    def close(self) -> None:
        """Close all connections."""
        self.listening.close()
        for other in self.others.values():
            other.line.close()

    def _settled(self, line: Channel, peer: str, typed: dict[str, Any]) -> bool:
        """Whether this one needs no more waiting: it has joined, was turned away, or has gone."""
        hello = next((message["hello"] for message in line.heard() if isinstance(message.get("hello"), dict)), None)
        if hello is None:
            return bool(line.lost)
        number, host = hello.get("number"), str(hello.get("host", peer))
        problems = list(differences(typed, hello))
        wanted = isinstance(number, int) and number in range(1, self.meeting.machines)
        if not problems and (not wanted or number in self.others):
            what = f"machine {number} is here already, or is not one of these"
            problems = [Problem(what, "--machine-rank", "give each machine its own")]
        if problems:
            why = "; ".join(problem.what for problem in problems)
            self.say(printable(f"machine {number} ({host}) is turned away: {why}"))
            line.say({"refused": PlanError(problems).document()})
            line.close()
            return True
        self.others[int(str(number))] = Other(int(str(number)), host, line)
        self.say(printable(f"machine {number} is here: {host}"))
        return True


def differences(typed: dict[str, Any], hello: dict[str, Any]) -> Iterator[Problem]:
    """How another machine's command, recipe and libraries differ from those here."""
    for name, option in NAMES.items():
        if hello.get(name) != typed[name]:
            what = f"{option} is {hello.get(name)} there and {typed[name]} on machine 0"
            yield Problem(what, option, "type the same line on all machines, but for --machine-rank")
    if hello.get("recipe") != typed["recipe"]:
        what = f"the recipe is {hello.get('recipe')} there and {typed['recipe']} on machine 0"
        yield Problem(what, str(hello.get("recipe")), "have it under the same path on all machines")
    elif hello.get("digest") != typed["digest"]:
        do = "have the same file on all machines, and type the same --set"
        yield Problem("the recipe has other values there than on machine 0", str(hello.get("recipe")), do)
    theirs = hello.get("versions") if isinstance(hello.get("versions"), dict) else {}
    here: dict[str, str] = typed["versions"]
    unlike = [f"{name} {(theirs or {}).get(name)} (here {version})" for name, version in here.items()]
    unlike = [text for text, name in zip(unlike, here, strict=True) if (theirs or {}).get(name) != here[name]]
    if unlike:
        yield Problem(f"its libraries differ: {', '.join(unlike)}", "pip list", "use one environment on all machines")


def _shown(other: Other, answers: dict[int, Path], secret: str) -> list[Problem]:
    """What this machine reports as wrong, or that it did not write the secret."""
    deadline = time.monotonic() + 2 * SECONDS_TO_SHOW
    while not other.line.lost and time.monotonic() < deadline:
        for message in other.line.heard(PAUSE):
            if message.get("problems"):
                return [Problem(**problem) for problem in message["problems"]]
            if "shown" in message:
                return _written(other, answers[other.number], secret)
    return [other.gone()]


def _written(other: Other, answer: Path, secret: str) -> list[Problem]:
    deadline = time.monotonic() + SECONDS_TO_SHOW
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if answer.read_text(encoding="utf-8") == secret:
                return []
        time.sleep(PAUSE)
    what = f"what {other.host} writes into the runs folder cannot be seen here"
    return [Problem(what, str(answer.parent), "give --runs on a disk that all machines share")]
