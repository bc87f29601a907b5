"""One machine's part in an attempt that several share: it is checked, then its ranks are started, watched and ended.

    python -m launcher.launch.agent RUN_FOLDER ATTEMPT [ADDRESS PORT PROBE_PORT]     inside `srun`, once on each node

The ranks of several machines meet at PORT; before that, the machines test at PROBE_PORT whether they reach each other
(`connectivity`). The agent writes how its ranks ended into the attempt's folder, where the job's driver
(`launcher.jobs.allocation`) reads it. On machines without Slurm `launcher.multinode.member` calls `take_part`.
SIGUSR1 (from the driver) and SIGTERM (from Slurm) ask the ranks to save and end, however often they come; SIGUSR2
kills.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from launcher import streams
from launcher.cluster import schedulers
from launcher.errors import LauncherError
from launcher.host import machine_facts, network
from launcher.host.stop_requests import ASKING, heed
from launcher.json_files import write_json
from launcher.launch import connectivity, preflight
from launcher.launch.node import Machine, Node, modules_for
from launcher.plan import plan as planning
from launcher.recipe.recipe import from_document
from launcher.runs.attempt import AttemptFolder
from launcher.runs.root_cause import ENDED_WELL, UNREPORTED
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

BROKEN = 1
"""The exit status when a rank failed; the ranks themselves have reported why."""


class StopLevel:
    """What the driver, or Slurm, has requested so far."""

    def __init__(self) -> None:
        self.level = 0
        for number in (signal.SIGUSR1, signal.SIGUSR2):  # the driver's own signals
            signal.signal(number, self._heard)
        for number in ASKING:
            heed(number, self._heard)

    def __call__(self) -> int:
        """0 nothing, 1 to save and end, 2 to die."""
        return self.level

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.level = max(self.level, 2 if number == signal.SIGUSR2 else 1)


def take_part(
    folder: RunFolder,
    attempt: AttemptFolder,
    machine: Machine,
    node: Node,
    stop_level: Callable[[], int],
    probe_port: int = 0,
) -> dict[str, Any]:
    """Run this machine's ranks to their end; how they ended, as it is written down.

    Raises BackendError with what is wrong here. Where another machine is not fit, no rank is started.
    """
    began = machine_facts.process_start()
    plan = planning.from_document(read_json(folder.plan))
    if not connectivity.fit(plan, attempt, machine, stop_level, probe_port, lambda line: print(line, flush=True)):
        return _report(attempt, machine.number, None)
    node.start(plan, folder, attempt, began, machine)
    node.watch(lambda: None, stop_level)
    statuses = {str(rank): list(ended) for rank, ended in node.ended.items()}
    return _report(attempt, machine.number, node.failure(attempt), ended=statuses, killed_at=node.killed_at)


def this_machine(number: int, head: tuple[str, int] | None) -> Machine:
    """This machine among several. Raises BackendError where it has no route to the head."""
    if head is None:
        return Machine(number)
    address = head[0] if number == 0 else network.address_towards(head[0])
    return Machine(number, head, network.interface_of(address))


def _status(report: dict[str, Any]) -> int:
    statuses = [status for status, _ in report["ended"].values()]
    if report["problems"] or any(status not in ENDED_WELL for status in statuses):
        return BROKEN
    return max(statuses, default=BROKEN)


def _report(attempt: AttemptFolder, number: int, error: LauncherError | None, **more: Any) -> dict[str, Any]:
    problems = [problem.document() for problem in error.problems] if error else []
    report: dict[str, Any] = {"host": socket.gethostname(), "ended": {}, "killed_at": None, "problems": problems}
    report |= more
    write_json(attempt.node(number), report)
    return report


def main() -> None:
    """See the module."""
    streams.be_patient()
    folder, attempt, *head = sys.argv[1:]
    run = RunFolder(Path(folder))
    part, inside, stop_level = run.attempt(int(attempt)), schedulers.around(os.environ), StopLevel()
    number, node = inside[1].machine if inside else 0, None
    try:
        recipe = from_document(read_json(run.recipe)["recipe"])
        node = Node.open(modules_for(recipe, bool(machine_facts.facts().gpus)))
        here = this_machine(number, (head[0], int(head[1])) if head else None)
        code = _status(take_part(run, part, here, node, stop_level, int(head[2]) if head else 0))
    except LauncherError as error:
        print(f"launcher: {socket.gethostname()}: {error}", file=sys.stderr, flush=True)
        try:
            _report(part, number, error)
            code = BROKEN
        except OSError:
            # the folder cannot be written: the driver reads this through srun
            print(preflight.encode_problems(error), flush=True)
            code = UNREPORTED
    finally:
        if node is not None:
            node.close()
    sys.exit(code)


if __name__ == "__main__":
    main()
