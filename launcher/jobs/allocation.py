"""The machines of a job, for `launch.supervisor`: one step (`srun`) an attempt, one `launch.agent` on each node.

A machine that started its ranks and ends without a report is lost, whatever its neighbours report of a broken
connection or die of; only an error of a rank's own takes precedence. Slurm would notice only after its own timeout
(SlurmdTimeout, 300 s by default), and `srun` waits for that.
A step that started on no machine is tried again for half a minute: the controller that `srun` calls may be restarting.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from launcher import child
from launcher.cluster import scheduler
from launcher.cluster.scheduler import Scheduler
from launcher.errors import BackendError, Problem, WorkerError
from launcher.host import network
from launcher.launch import preflight
from launcher.launch.node import SECONDS_TO_SPEAK
from launcher.plan.plan import Plan
from launcher.runs.attempt import AttemptFolder
from launcher.runs.root_cause import ENDED_WELL, Cause, causes, root_cause
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

SECONDS_TO_FOLLOW = 4 * SECONDS_TO_SPEAK
"""After one machine's ranks have failed those of the others get this long to notice, before they are killed."""
SECONDS_TO_DIE = 20.0
"""After that `srun` gets this long; a task that has not ended by then is on a machine that is gone."""
PAUSE = 0.2


@dataclass
class Allocation:
    """The nodes that the scheduler gave to this job, and the step that runs there now."""

    scheduler: Scheduler
    hosts: tuple[str, ...]
    step: subprocess.Popen[bytes] | None = None
    machines: int = 0
    attempt: AttemptFolder | None = None
    per_machine: int = 1
    command: list[str] = field(default_factory=list)
    """The command that starts the step."""
    unread: bytes = b""
    refused: list[Problem] = field(default_factory=list)
    """What a machine found wrong with itself and could not write down."""

    def start(self, plan: Plan, folder: RunFolder, attempt: AttemptFolder, began: float) -> None:
        """Start a step with one task a node. Raises BackendError when the job has fewer nodes than the plan."""
        if len(self.hosts) < plan.nodes:
            what = f"the plan is for {plan.nodes} nodes, but the job has {len(self.hosts)}"
            raise BackendError(Problem(what, str(folder.plan), f"give sbatch --nodes={plan.nodes}"))
        words = child.words("launcher.launch.agent", str(folder.path), str(attempt.number))
        if plan.nodes > 1:
            # this process is on the first node: where the others reach it, and two ports of this attempt's own
            address = scheduler.until_answered(lambda: network.address_towards(self.hosts[1]))
            words += [address, *map(str, network.free_ports(address, 2))]
        self.machines, self.attempt, self.per_machine = plan.nodes, attempt, plan.processes_per_node
        self.command = self.scheduler.step(plan.nodes, words)
        self._begin()

    def _begin(self) -> None:
        self.unread, self.refused = b"", []
        self.step = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.step.stdout is not None
        os.set_blocking(self.step.stdout.fileno(), False)

    def watch(self, tick: Callable[[], None], stop_asked: Callable[[], int]) -> None:
        """Return when the step has ended."""
        for _ in range(scheduler.TRIES - 1):
            self._watch_step(tick, stop_asked)
            if stop_asked() or self._anybody_came():
                return
            time.sleep(scheduler.PAUSE)
            print(f"{self.command[0]} has started nothing: it is tried again", flush=True)
            self._begin()
        self._watch_step(tick, stop_asked)

    def _watch_step(self, tick: Callable[[], None], stop_asked: Callable[[], int]) -> None:
        assert self.step is not None and self.attempt is not None
        level, deadline, hopeless = 0, float("inf"), float("inf")
        while self.step.poll() is None:
            time.sleep(PAUSE)
            self._relay()
            tick()
            if stop_asked() > level:
                level = stop_asked()
                # srun passes these two on to the tasks; at SIGTERM it would end itself and kill them
                self.step.send_signal(signal.SIGUSR1 if level == 1 else signal.SIGUSR2)
            if hopeless == float("inf") and level > 1:
                hopeless = time.monotonic() + SECONDS_TO_DIE
            if deadline == float("inf") and (self.refused or any(map(_broken, self._reports(self.attempt)))):
                deadline = time.monotonic() + SECONDS_TO_FOLLOW
            if deadline < float("inf") and self._vain(self.attempt):
                deadline = min(deadline, time.monotonic())
            if time.monotonic() > deadline and hopeless == float("inf"):
                hopeless = time.monotonic() + SECONDS_TO_DIE
                self.step.send_signal(signal.SIGUSR2)
            if time.monotonic() > hopeless:
                self.step.kill()
        self._relay()
        tick()

    def failure(self, attempt: AttemptFolder) -> WorkerError | None:
        """Why the attempt failed, the root cause of all machines first."""
        assert self.step is not None
        candidates: list[Cause] = []
        reports = self._reports(attempt)
        if refused := self._refused(reports):
            return WorkerError(refused)
        for report in reports:
            ended = {int(rank): (status, when) for rank, (status, when) in report["ended"].items()}
            candidates += causes(attempt, ended, report["killed_at"])
        silent = sorted(set(range(self.machines)) - {report["number"] for report in reports})
        lost = None
        if gone := [number for number in silent if self._began(attempt, number)]:
            lost = WorkerError(self._without_a_word(gone))
            lost.machine_lost = True
        cause = root_cause(candidates, lost)
        return cause or (WorkerError(self._without_a_word(silent)) if silent else None)

    def close(self) -> None:
        """End the step, if it still runs."""
        if self.step is not None and self.step.poll() is None:
            self.step.send_signal(signal.SIGUSR2)
            self.step.wait()

    def _refused(self, reports: list[dict[str, Any]]) -> list[Problem]:
        """What machines found wrong with themselves before they started ranks."""
        written = [Problem(**problem) for report in reports if not report["ended"] for problem in report["problems"]]
        return written + self.refused

    def _vain(self, attempt: AttemptFolder) -> bool:
        """Whether a machine starts no ranks, so that those of the others wait for nothing, and all have reported."""
        reports = self._reports(attempt)
        reported = {report["number"] for report in reports}
        silent = [n for n in range(self.machines) if n not in reported and not self._began(attempt, n)]
        return bool(self._refused(reports)) and len(silent) <= bool(self.refused)

    def _relay(self) -> None:
        """Print what the machines print; one that cannot write the run's folder reports this way only."""
        assert self.step is not None and self.step.stdout is not None
        *lines, self.unread = (self.unread + (self.step.stdout.read() or b"")).split(b"\n")
        for line in lines:
            problems = preflight.decode_problems(line)
            self.refused += problems
            if not problems:
                print(line.decode(errors="replace"), flush=True)

    def _began(self, attempt: AttemptFolder, machine: int) -> bool:
        """Whether that machine got as far as starting ranks."""
        return attempt.log(machine * self.per_machine).is_file()

    def _anybody_came(self) -> bool:
        """Whether a machine has begun, or reported that it cannot."""
        assert self.attempt is not None
        began = any(self._began(self.attempt, number) for number in range(self.machines))
        return began or bool(self.refused) or bool(self._reports(self.attempt))

    def _without_a_word(self, machines: list[int]) -> Problem:
        names = ", ".join(self.hosts[number] for number in machines)
        status = self.step.returncode if self.step is not None else None
        what = f"{names} ended without a word (srun ended with status {status})"
        return Problem(what, "slurm.log of the run", "see there what Slurm says of the node")

    def _reports(self, attempt: AttemptFolder) -> list[dict[str, Any]]:
        documents = [(number, read_json(attempt.node(number))) for number in range(self.machines)]
        return [{"number": number, **report} for number, report in documents if report]


def _broken(report: dict[str, Any]) -> bool:
    return bool(report["problems"]) or any(status not in ENDED_WELL for status, _ in report["ended"].values())
