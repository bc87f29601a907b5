"""The machines of a Slurm job, for `launcher.driving`: one `srun` an attempt, one `launcher.machine` on each node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from launcher import network
from launcher.backends import slurm
from launcher.errors import BackendError, Problem, WorkerError
from launcher.node import ENDED_WELL, SECONDS_TO_SPEAK, Cause, causes
from launcher.plan import Plan
from launcher.rundir import AttemptFolder, RunFolder, read_json

SECONDS_TO_FOLLOW = 4 * SECONDS_TO_SPEAK
"""After one machine's ranks have failed those of the others get this long to notice, before they are killed."""
PAUSE = 0.2


@dataclass
class Allocation:
    """The nodes that Slurm gave to this job, and the step that runs there now."""

    hosts: tuple[str, ...]
    step: subprocess.Popen[bytes] | None = None
    machines: int = 0
    attempt: AttemptFolder | None = None

    @classmethod
    def of_this_job(cls, environment: Mapping[str, str] = os.environ) -> Allocation:
        """Raises BackendError outside a job."""
        listed = environment.get("SLURM_JOB_NODELIST")
        if "SLURM_JOB_ID" not in environment or not listed:
            do = "hand the run over by `sbatch slurm/train.sbatch RUN_FOLDER`"
            raise BackendError(Problem("this is not a job of Slurm's", "SLURM_JOB_ID", do))
        return cls(slurm.hosts(listed))

    def start(self, plan: Plan, folder: RunFolder, attempt: AttemptFolder, began: float) -> None:
        """Start a step with one task a node. Raises BackendError when the job has fewer nodes than the plan."""
        if len(self.hosts) < plan.nodes:
            what = f"the plan is for {plan.nodes} nodes, but the job has {len(self.hosts)}"
            raise BackendError(Problem(what, str(folder.plan), f"give sbatch --nodes={plan.nodes}"))
        words = [sys.executable, "-m", "launcher.machine", str(folder.path), str(attempt.number)]
        if plan.nodes > 1:
            # this process is on the first node: where the others reach it, and a port of this attempt's own
            address = network.address_towards(self.hosts[1])
            words += [address, str(network.free_port(address))]
        self.machines, self.attempt = plan.nodes, attempt
        self.step = subprocess.Popen(slurm.step(plan.nodes, words, os.environ), stdin=subprocess.DEVNULL)

    def watch(self, tick: Callable[[], None], stop_asked: Callable[[], int]) -> None:
        """Return when the step has ended."""
        assert self.step is not None and self.attempt is not None
        asked, deadline = 0, float("inf")
        while self.step.poll() is None:
            time.sleep(PAUSE)
            tick()
            if stop_asked() > asked:
                asked = stop_asked()
                # srun hands these two on to the tasks; SIGTERM it would take as its own end and kill them
                self.step.send_signal(signal.SIGUSR1 if asked == 1 else signal.SIGUSR2)
            if deadline == float("inf") and any(map(_broken, self._told(self.attempt))):
                deadline = time.monotonic() + SECONDS_TO_FOLLOW
            if time.monotonic() > deadline:
                deadline = float("inf")
                self.step.send_signal(signal.SIGUSR2)
        tick()

    def failure(self, attempt: AttemptFolder) -> WorkerError | None:
        """Why the attempt failed, the root cause of all machines first."""
        assert self.step is not None
        found: list[Cause] = []
        told = self._told(attempt)
        for machine in told:
            ended = {int(rank): (status, when) for rank, (status, when) in machine["ended"].items()}
            found += causes(attempt, ended, machine["killed_at"])
        if found:
            return min(found, key=lambda cause: cause[:2])[2]
        problems = [Problem(**problem) for machine in told for problem in machine["problems"]]
        if problems:
            return WorkerError(problems)
        silent = sorted(set(range(self.machines)) - {machine["number"] for machine in told})
        if silent:
            names = ", ".join(self.hosts[number] for number in silent)
            what = f"{names} ended without a word (srun ended with status {self.step.returncode})"
            return WorkerError(Problem(what, "slurm.log of the run", "see there what Slurm says of the node"))
        return None

    def close(self) -> None:
        """End the step, if it still runs."""
        if self.step is not None and self.step.poll() is None:
            self.step.send_signal(signal.SIGUSR2)
            self.step.wait()

    def _told(self, attempt: AttemptFolder) -> list[dict[str, Any]]:
        told = [(number, read_json(attempt.node(number))) for number in range(self.machines)]
        return [{"number": number, **said} for number, said in told if said]


def _broken(machine: dict[str, Any]) -> bool:
    return bool(machine["problems"]) or any(status not in ENDED_WELL for status, _ in machine["ended"].values())
