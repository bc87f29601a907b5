"""The batch step of a job: it drives a run that was planned before, on the nodes that the scheduler gave.

    python3 -m launcher.jobs.batch RUN_FOLDER      what slurm/train.sbatch runs, on the job's first node
    python3 -m launcher.jobs.batch ARRAY_FOLDER    the same for one task of a job array: its run is found by its number

Everything it needs lies in the run folder. It goes on from the newest good checkpoint where there is one, so a requeued
job starts the same way. It requeues the job itself where the scheduler would end it: when its time is nearly over
(SIGUSR1), when it is preempted and has saved within its grace period, and when a machine is lost.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from launcher import streams
from launcher.cluster import schedulers
from launcher.cluster.job_array import run_of
from launcher.cluster.scheduler import Number, Scheduler, ThisJob, until_answered
from launcher.errors import BackendError, Interrupted, LauncherError, Problem, WorkerError
from launcher.host import machine_facts, turns
from launcher.host.stop_requests import ASKING, StopRequests
from launcher.jobs.allocation import Allocation
from launcher.json_files import write_json
from launcher.launch import supervisor
from launcher.plan import plan as planning
from launcher.plan.plan import Plan
from launcher.runs import driver
from launcher.runs.attempt import AttemptFolder
from launcher.runs.news import News
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder


@dataclass
class Warned(StopRequests):
    """Also notices that the job's time is nearly over, or that it is preempted."""

    warned: bool = False
    ended: bool = False
    """The SIGTERM has come that follows a warning when the time, or the grace period, is over."""

    def _heard(self, number: int, frame: FrameType | None) -> None:
        """A warning and the SIGTERM after it are one request: what is being saved by then is still saved."""
        if number == signal.SIGUSR1:
            self.warned = True
            if self.count:
                return
        elif self.warned and not self.ended:
            self.ended = True
            return
        super()._heard(number, frame)


@dataclass
class LogFollower:
    """Prints what is new in the run's folder, for slurm.log."""

    news: News

    def tick(self) -> None:
        """Print it."""
        with contextlib.suppress(
            BackendError, LookupError, TypeError, ValueError, OSError
        ):  # a damaged file of the run
            for _, line in self.news.look():
                print(line, flush=True)


def drive(folder: RunFolder, inside: tuple[Scheduler, ThisJob] | None) -> int:
    """Drive the run to its end; the exit status. Raises the LauncherError that ended it."""
    began = machine_facts.process_start()
    plan = _promised(folder)
    outcome = folder.ended()
    if outcome and outcome["status"] == "finished":
        print(f"run {folder.name} is finished: nothing is left to do", flush=True)
        return 0
    if inside is None:
        do = "submit the run by `sbatch slurm/train.sbatch RUN_FOLDER`"
        raise BackendError(Problem("this process is not part of a job", str(folder.path), do))
    scheduler, job = inside
    allocation = Allocation(scheduler, until_answered(scheduler.hosts))
    stop = Warned()
    stop.listen((*ASKING, signal.SIGUSR1))
    with turns.taken(folder.path):
        driver.take_lease(folder, scheduled=True)
    try:
        _note_number(folder, job)
        attempt = folder.new_attempt()
        _refuse_too_many_restarts(folder, attempt, plan, job)
        folder.outcome.unlink(missing_ok=True)
        plan = supervisor.below_known_oom(folder, plan)
        on = f"{plan.nodes} x {plan.processes_per_node} processes, {', '.join(allocation.hosts)}"
        print(f"run {folder.name}, attempt {attempt.number}: {plan.strategy} on {plan.device}, {on}", flush=True)
        follower = LogFollower(News(folder, plan))
        outcome = supervisor.drive(folder, attempt, plan, allocation, began, follower.tick, stop)
    except WorkerError as error:
        allocation.close()
        if not error.machine_lost or job.restarts >= _most_restarts(folder):
            raise
        print(f"launcher: {error}", file=sys.stderr, flush=True)
        _put_back("a machine was lost", inside, error)
        return Interrupted.exit_code
    finally:
        allocation.close()
        driver.drop_lease(folder)
    print(f"run {folder.name}: {outcome['status']} after step {outcome['steps']}", flush=True)
    if outcome["status"] != "stopped":
        return 0
    if stop.warned:
        _put_back("the job's time was nearly over", inside)
    elif _preempted(scheduler, job.number):
        _put_back("the job was preempted", inside)
    return Interrupted.exit_code


def _note_number(folder: RunFolder, job: ThisJob) -> None:
    """A run that was submitted by hand is another job than the one that its folder names."""
    record = read_json(folder.job)
    if record and not job.task and record.get("job") != job.number:
        write_json(folder.job, {**record, "job": job.number})


def _put_back(why: str, inside: tuple[Scheduler, ThisJob], lost: WorkerError | None = None) -> None:
    """Have the job begun again, if that does not happen by itself. Raises LauncherError when it is refused."""
    scheduler, job = inside

    def once() -> None:
        try:
            scheduler.requeue(job.number)
        except BackendError:
            if not _begins_again(scheduler, job.number):
                raise

    print(f"{why}: it is put back and goes on from there", flush=True)
    try:
        until_answered(once)
    except BackendError as refusal:
        raise WorkerError([*lost.problems, *refusal.problems]) if lost else refusal from None


def _begins_again(scheduler: Scheduler, number: Number) -> bool:
    """Whether that happens by itself; no where the scheduler does not answer."""
    try:
        return scheduler.begins_again(number)
    except BackendError:
        return False


def _preempted(scheduler: Scheduler, number: Number) -> bool:
    """Whether the job's machines are taken for another; no where the scheduler does not answer for half a minute."""
    try:
        return until_answered(lambda: scheduler.preempted(number))
    except BackendError:
        return False


def _most_restarts(folder: RunFolder) -> float:
    most = (read_json(folder.job) or {}).get("max_requeues")
    return math.inf if most is None else int(most)


def _promised(folder: RunFolder) -> Plan:
    planned = read_json(folder.plan)
    if planned is None:
        do = "submit a recipe with `launcher submit`, or name the folder of a run"
        raise BackendError(Problem("there is no run in this folder", str(folder.path), do))
    return planning.from_document(planned)


def _refuse_too_many_restarts(folder: RunFolder, attempt: AttemptFolder, plan: Plan, job: ThisJob) -> None:
    """A job that is put back again and again for a reason that does not go away must end at some point."""
    if job.restarts > _most_restarts(folder):
        what = f"the job was put back {job.restarts} times, which is more than {_most_restarts(folder)}"
        problem = Problem(what, str(folder.path), f"see {folder.scheduler_log.name} for why, and submit again")
        supervisor.failed_outcome(folder, attempt, plan, "failed", [problem])
        raise BackendError(problem)


def main() -> None:
    """See the module."""
    streams.be_patient()
    if len(sys.argv) != 2:
        sys.exit("usage: python3 -m launcher.jobs.batch RUN_FOLDER")
    try:
        given = Path(sys.argv[1]).resolve()
        inside = schedulers.around(os.environ)
        folder = run_of(given, inside[1].task if inside else "")
        if folder.path != given:
            streams.print_into(folder.scheduler_log)  # tasks of an array share a folder
        code = drive(folder, inside)
    except LauncherError as error:
        print(f"launcher: {error}", file=sys.stderr, flush=True)
        code = error.exit_code
    sys.exit(code)


if __name__ == "__main__":
    main()
