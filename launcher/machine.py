"""One machine's part in an attempt that several share: its ranks, started, watched and ended.

    python -m launcher.machine RUN_FOLDER ATTEMPT [ADDRESS PORT]     inside `srun`, once on each node

How its ranks ended it writes into the attempt's folder, where the job's driver (`launcher.allocation`) reads it.
SIGUSR1 (from the driver) and SIGTERM (from Slurm) ask the ranks to save and end, however often they come; SIGUSR2
kills.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from launcher import network
from launcher import plan as planning
from launcher.backends import local
from launcher.errors import LauncherError
from launcher.node import ENDED_WELL, Machine, Node
from launcher.rundir import AttemptFolder, RunFolder, read_json, write_json

BROKEN = 1
"""The exit status when a rank failed; why, the ranks have told themselves."""


class Asked:
    """What the driver, or Slurm, has asked for so far."""

    def __init__(self) -> None:
        self.level = 0
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heard)

    def __call__(self) -> int:
        """0 nothing, 1 to save and end, 2 to die."""
        return self.level

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.level = max(self.level, 2 if number == signal.SIGUSR2 else 1)


def take_part(folder: RunFolder, attempt: AttemptFolder, number: int, head: tuple[str, int] | None) -> int:
    """Run this machine's ranks to their end; the exit status."""
    began = local.process_start()
    asked = Asked()
    plan = planning.from_document(read_json(folder.plan))
    node = Node.open()
    try:
        node.start(plan, folder, attempt, began, Machine(number, head, _interface(number, head)))
        node.watch(lambda: None, asked)
        failure = node.failure(attempt)
    finally:
        node.close()
    statuses = {str(rank): list(ended) for rank, ended in node.ended.items()}
    _tell(attempt, number, failure, ended=statuses, killed_at=node.killed_at)
    if failure is not None or any(status not in ENDED_WELL for status, _ in node.ended.values()):
        return BROKEN
    return max((status for status, _ in node.ended.values()), default=BROKEN)


def _tell(attempt: AttemptFolder, number: int, error: LauncherError | None, **more: Any) -> None:
    problems = [problem.document() for problem in error.problems] if error else []
    told: dict[str, Any] = {"host": socket.gethostname(), "ended": {}, "killed_at": None, "problems": problems}
    write_json(attempt.node(number), {**told, **more})


def _interface(number: int, head: tuple[str, int] | None) -> str:
    if head is None:
        return ""
    return network.interface_of(head[0] if number == 0 else network.address_towards(head[0]))


def main() -> None:
    """See the module."""
    folder, attempt, *head = sys.argv[1:]
    part = RunFolder(Path(folder)).attempt(int(attempt))
    number = int(os.environ.get("SLURM_NODEID", "0"))
    try:
        code = take_part(RunFolder(Path(folder)), part, number, (head[0], int(head[1])) if head else None)
    except LauncherError as error:
        print(f"launcher: {socket.gethostname()}: {error}", file=sys.stderr, flush=True)
        _tell(part, number, error)
        code = BROKEN
    sys.exit(code)


if __name__ == "__main__":
    main()
