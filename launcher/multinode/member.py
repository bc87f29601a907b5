"""A machine that is not the first: it waits for machine 0, shows that it was given the same command, and takes part.

Machine 0's side is `multinode.rendezvous` and `multinode.leader`, which define the messages. When the connection to
machine 0 breaks, this machine's ranks are killed: they could not save without it.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, LauncherError, Problem, WorkerError, from_document, printable
from launcher.host.connection import Channel
from launcher.host.stop_requests import StopRequests
from launcher.launch import agent
from launcher.launch.node import Node
from launcher.multinode.rendezvous import Meeting
from launcher.runs.run_folder import RunFolder

SECONDS_BETWEEN_TRIES = 0.5
SECONDS_BETWEEN_MESSAGES = 30.0
PAUSE = 0.2


def take_part(meeting: Meeting, typed: dict[str, Any], runs: Path, node: Node, say: Callable[[str], None]) -> int:
    """Be machine K of the run to its end; the exit code. Raises what machine 0 says is wrong, or that it is gone."""
    stop = StopLevel()
    line = _call(meeting, stop, say)
    try:
        line.say({"hello": {**typed, "number": meeting.number, "host": socket.gethostname()}})
        say(f"machine {meeting.number} has reached machine 0 at {meeting.head}, which prepares the run")
        started = False
        while not line.lost:
            if stop.requests() and not started:
                raise BackendError(Problem("stopped before the run began", meeting.head))
            for message in line.heard(PAUSE):
                if "refused" in message:
                    raise from_document(message["refused"])
                if "over" in message:
                    say(printable(f"run {message['over']}; see machine 0 for the rest"))
                    return int(message["code"])
                if "show" in message:
                    line.say(_show(meeting.number, runs.resolve(), **message))
                if "start" in message:
                    started = True
                    line.say({"ended": _attempt(meeting, runs.resolve(), message, node, stop.over(line))})
        raise WorkerError(Problem(f"machine 0 is gone: {line.lost}", meeting.head, "see its terminal"))
    finally:
        line.close()


class StopLevel:
    """What a user here, or machine 0, has requested: 0 nothing, 1 to save and end, 2 to die."""

    def __init__(self) -> None:
        self.requests = StopRequests()
        self.requests.listen()
        self.reported = 0

    def over(self, line: Channel) -> Callable[[], int]:
        """The level for one attempt, while machine 0 sends nothing else over the line."""
        level = 0

        def current() -> int:
            nonlocal level
            if self.requests() > self.reported:
                self.reported = self.requests()
                line.say({"asked": self.reported})
            level = max([level, self.requests(), *(int(message.get("ask", 0)) for message in line.heard())])
            return 2 if line.lost else min(2, level)

        return current


def _call(meeting: Meeting, stop: StopLevel, say: Callable[[str], None]) -> Channel:
    """The line to machine 0, which may be started later."""
    deadline, next_message = time.monotonic() + meeting.wait, 0.0
    while not stop.requests():
        try:
            return Channel(socket.create_connection((meeting.host, meeting.port), timeout=5))
        except OSError as error:
            why = error.strerror or str(error)
        if time.monotonic() > deadline:
            what = f"waited {meeting.wait:.0f} s for machine 0 at {meeting.head}: {why.lower()}"
            do = "type --machine-rank 0 on it; its port must be open to this machine"
            raise BackendError(Problem(what, "--head", do))
        if time.monotonic() > next_message:
            say(f"machine {meeting.number} waits for machine 0 at {meeting.head} ({why.lower()})")
            next_message = time.monotonic() + SECONDS_BETWEEN_MESSAGES
        time.sleep(SECONDS_BETWEEN_TRIES)
    raise BackendError(Problem("stopped while machine 0 was waited for", meeting.head))


def _show(number: int, runs: Path, show: str, prepared: str, seconds: float) -> dict[str, Any]:
    """Copy machine 0's secret to a file beside it, to show that both see the same runs folder; or what is wrong."""
    path, host = Path(show), socket.gethostname()
    if path.parent != runs:
        problem = Problem(f"--runs is {runs} here and {path.parent} on machine 0", host, "type the same --runs")
        return {"problems": [problem.document()]}
    deadline = time.monotonic() + seconds
    problems = []
    try:
        while not path.is_file() and time.monotonic() < deadline:
            time.sleep(PAUSE)
        answer = path.with_name(f"{path.name}.{number}")
        descriptor = os.open(answer, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"{host} cannot use machine 0's runs folder: {str(error.strerror).lower()}"
        problems.append(Problem(what, str(path.parent), "give --runs on a disk that all machines share and may write"))
    if not (Path(prepared) / "facts.json").is_file():
        do = "set RECIPE_LAUNCHER_CACHE on all machines to a folder that they share"
        problems.append(Problem(f"{host} does not see the prepared data", prepared, do))
    return {"problems": [p.document() for p in problems]} if problems else {"shown": True}


def _attempt(
    meeting: Meeting, runs: Path, message: dict[str, Any], node: Node, stop_level: Callable[[], int]
) -> dict[str, Any]:
    """Run this machine's ranks; how they ended."""
    folder = RunFolder(runs / Path(message["folder"]).name)
    attempt = folder.attempt(int(message["start"]))
    try:
        here = agent.this_machine(meeting.number, (str(message["head"][0]), int(message["head"][1])))
        return agent.take_part(folder, attempt, here, node, stop_level, int(message["doors"]))
    except LauncherError as error:
        print(f"launcher: {error}", file=sys.stderr, flush=True)
        problems = [problem.document() for problem in error.problems]
    except OSError as error:
        problems = [Problem(f"{socket.gethostname()}: {error}", str(folder.path)).document()]
    return {"ended": {}, "killed_at": None, "problems": problems}
