"""The machines of a run that were given the same command, for `launch.supervisor`; this process is on the first one.

    launcher run RECIPE --machines N --machine-rank K --head HOST:PORT      on each, K = 0 … N-1; HOST is machine 0

Once `multinode.rendezvous` has gathered them, the connection to each carries the start of an attempt, requests to stop,
and how that machine's ranks ended. The ranks themselves meet at a new port of the head's address for each attempt
(docs/decisions/011-machines-by-hand.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from launcher.errors import LauncherError, Problem, WorkerError
from launcher.host import network
from launcher.host.stop_requests import StopRequests
from launcher.launch import connectivity
from launcher.launch.node import SECONDS_TO_SAVE, SECONDS_TO_SPEAK, Machine, Node
from launcher.multinode.rendezvous import PAUSE, Gathering
from launcher.plan.plan import Plan
from launcher.runs.attempt import AttemptFolder
from launcher.runs.root_cause import ENDED_WELL, Cause, causes, root_cause
from launcher.runs.run_folder import RunFolder

SECONDS_TO_FOLLOW = 4 * SECONDS_TO_SPEAK
"""After one machine's ranks have failed, or it is gone, those of the others get this long before they are killed."""


@dataclass
class Machines:
    """The machines that were gathered, and this one's ranks."""

    gathered: Gathering
    node: Node
    stop: StopRequests
    broken: list[Problem] = field(default_factory=list)
    """What the preflight found wrong with this machine."""
    vain: bool = False
    """Whether no ranks were started here, since another machine is not fit."""
    stop_level: int = 0
    """What was last sent to the others: 1 to save and end, 2 to die."""
    fatal: float | None = None
    """When an attempt that cannot go on is over for all; None while it may go on."""

    def start(self, plan: Plan, folder: RunFolder, attempt: AttemptFolder, began: float) -> None:
        """Have all machines check themselves and probe each other, then start their ranks, at new ports."""
        self.stop_level, self.fatal, self.broken, self.vain = 0, None, [], False
        port, probe_port = network.free_ports(self.gathered.address, 2)
        head = (self.gathered.address, port)
        for other in self.gathered.others.values():
            other.report = None
            other.line.say({"start": attempt.number, "folder": str(folder.path), "head": head, "doors": probe_port})
        try:
            here = Machine(0, head, network.interface_of(head[0]))
            # a stop request, a failure or a lost machine meanwhile ends the wait for all to come
            self.vain = not connectivity.fit(
                plan, attempt, here, lambda: self._level(self.stop), probe_port, self.gathered.say
            )
        except LauncherError as error:
            self.broken = error.problems
            return
        if not self.vain:
            self.node.start(plan, folder, attempt, began, here)

    def watch(self, tick: Callable[[], None], stop_asked: Callable[[], int]) -> None:
        """Return when all ranks have ended here, and the others have reported theirs or are gone."""
        if self.broken:
            return
        if self.vain:
            self.fatal = time.monotonic()
        else:
            self.node.watch(tick, lambda: self._level(stop_asked))
        patience = SECONDS_TO_FOLLOW if self._failed_here() else SECONDS_TO_SAVE
        self.fatal = self.fatal or time.monotonic() + patience
        while any(other.report is None and not other.line.lost for other in self.gathered.others.values()):
            time.sleep(PAUSE)
            tick()
            self._level(stop_asked)
            if time.monotonic() > self.fatal + SECONDS_TO_FOLLOW:
                return  # killed, and still no report

    def failure(self, attempt: AttemptFolder) -> WorkerError | None:
        """Why the attempt failed, the root cause of all machines first."""
        if self.broken:
            return WorkerError(self.broken)
        own = None if self.vain else self.node.failure(attempt)
        candidates: list[Cause] = [] if self.vain else causes(attempt, self.node.ended, self.node.killed_at)
        gone = []
        for other in self.gathered.others.values():
            if other.report is None:
                gone.append(other.gone())
                continue
            ended = {int(rank): (status, when) for rank, (status, when) in other.report["ended"].items()}
            if other.report["problems"] and not ended:
                return WorkerError([Problem(**problem) for problem in other.report["problems"]])
            candidates += causes(attempt, ended, other.report["killed_at"])
        return root_cause(candidates, WorkerError(gone) if gone else None) or own

    def end(self, message: dict[str, Any]) -> None:
        """Tell the others how the run ended: `{"over": …, "code": …}`, or `{"refused": an error}`."""
        for other in self.gathered.others.values():
            other.line.say(message)

    def close(self) -> None:
        """Close the connections; that ends whatever still runs here or on the others."""
        self.node.close()
        self.gathered.close()

    def _level(self, stop_asked: Callable[[], int]) -> int:
        """Listen to the others, and pass on a stop: requested by a user on any machine, or caused by a failure."""
        for other in self.gathered.others.values():
            for message in other.line.heard():
                if "ended" in message:
                    other.report = message["ended"]
                if isinstance(message.get("asked"), int):
                    self.stop.count = max(self.stop.count, message["asked"])
            if self.fatal is None and (other.line.lost or _broken(other.report)):
                self.fatal = time.monotonic() + SECONDS_TO_FOLLOW
        over = self.fatal is not None and time.monotonic() > self.fatal
        level = min(2, max(stop_asked(), 2 if over else 0))
        if level > self.stop_level:
            self.stop_level = level
            self.end({"ask": level})
        return level

    def _failed_here(self) -> bool:
        return any(status not in ENDED_WELL for status, _ in self.node.ended.values())


def _broken(report: dict[str, Any] | None) -> bool:
    if report is None:
        return False
    return bool(report["problems"]) or any(status not in ENDED_WELL for status, _ in report["ended"].values())
