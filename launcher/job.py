"""The batch step of a Slurm job: it drives a run that was planned before, on the nodes that Slurm gave.

    python3 -m launcher.job RUN_FOLDER      what slurm/train.sbatch runs, on the job's first node
    python3 -m launcher.job ARRAY_FOLDER    the same for one task of a job array: its run is found by its number

Everything it needs lies in the run folder. It goes on from the newest good checkpoint where there is one, so a job
that Slurm has requeued comes back by the same door. SIGUSR1, which Slurm sends before the time is over, saves and puts
the job back itself: Slurm would end it.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from launcher import driving, rundir
from launcher import plan as planning
from launcher.allocation import Allocation
from launcher.backends import local, slurm
from launcher.errors import BackendError, Interrupted, LauncherError, Problem
from launcher.job_array import run_of
from launcher.lines import evaluation_line, step_line
from launcher.plan import Plan
from launcher.rundir import RunFolder, read_json, read_lines
from launcher.stopping import ASKING, StopRequests


@dataclass
class Warned(StopRequests):
    """Also hears that the job's time is nearly over."""

    warned: bool = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.warned = self.warned or number == signal.SIGUSR1
        super()._heard(number, frame)


@dataclass
class Teller:
    """Prints what is new in the run's folder, for slurm.log."""

    folder: RunFolder
    steps: int
    told: dict[Path, int] = field(default_factory=dict)

    def tick(self) -> None:
        """Look at what is new."""
        for note in self._new(self.folder.attempts()[-1].notes):
            print(note["note"], flush=True)
        for event in self._new(self.folder.events):
            print(step_line(event, self.steps), flush=True)
        for evaluation in self._new(self.folder.evaluations):
            print(evaluation_line(evaluation["step"], self.steps, evaluation), flush=True)

    def _new(self, path: Path) -> list[dict[str, Any]]:
        lines = list(read_lines(path))
        before = self.told.get(path, 0)
        self.told[path] = len(lines)
        return lines[before:]


def drive(folder: RunFolder) -> int:
    """Drive the run to its end; the exit status. Raises the LauncherError that ended it."""
    began = local.process_start()
    plan = _promised(folder)
    outcome = read_json(folder.outcome)
    if outcome and outcome["status"] == "finished":
        print(f"run {folder.name} is finished: nothing is left to do", flush=True)
        return 0
    allocation = Allocation.of_this_job()
    stop = Warned()
    stop.listen((*ASKING, signal.SIGUSR1))
    rundir.take_lease(folder)
    try:
        _refuse_too_many_restarts(folder, plan)
        folder.outcome.unlink(missing_ok=True)
        plan = driving.spared(folder, plan)
        attempt = folder.new_attempt()
        on = f"{plan.nodes} x {plan.processes_per_node} processes, {', '.join(allocation.hosts)}"
        print(f"run {folder.name}, attempt {attempt.number}: {plan.strategy} on {plan.device}, {on}", flush=True)
        teller = Teller(folder, plan.steps, {folder.events: 0})
        outcome = driving.drive(folder, attempt, plan, allocation, began, teller.tick, stop)
    finally:
        allocation.close()
        rundir.drop_lease(folder)
    print(f"run {folder.name}: {outcome['status']} after step {outcome['steps']}", flush=True)
    if outcome["status"] == "stopped" and stop.warned:
        print("the job's time was nearly over: it is put back and goes on from there", flush=True)
        slurm.requeue(int(os.environ["SLURM_JOB_ID"]))
    return Interrupted.exit_code if outcome["status"] == "stopped" else 0


def _promised(folder: RunFolder) -> Plan:
    told = read_json(folder.plan)
    if told is None:
        do = "submit a recipe with `launcher submit`, or name the folder of a run"
        raise BackendError(Problem("there is no run in this folder", str(folder.path), do))
    return planning.from_document(told)


def _refuse_too_many_restarts(folder: RunFolder, plan: Plan) -> None:
    """A job that is put back again and again for a reason that does not pass must end one day."""
    most = (read_json(folder.job) or {}).get("max_requeues")
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    if most is not None and restarts > most:
        what = f"Slurm has requeued the job {restarts} times, which is more than {most}"
        problem = Problem(what, str(folder.path), "see slurm.log for why, and submit again")
        driving.failed_outcome(folder, plan, "failed", [problem])
        raise BackendError(problem)


def _print_into(log: Path) -> None:
    """Print there from now on, this process and the step that it starts: tasks of an array share a folder."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def main() -> None:
    """See the module."""
    if len(sys.argv) != 2:
        sys.exit("usage: python3 -m launcher.job RUN_FOLDER")
    try:
        given = Path(sys.argv[1]).resolve()
        folder = run_of(given, os.environ)
        if folder.path != given:
            _print_into(folder.scheduler_log)
        code = drive(folder)
    except LauncherError as error:
        print(f"launcher: {error}", file=sys.stderr, flush=True)
        code = error.exit_code
    sys.exit(code)


if __name__ == "__main__":
    main()
