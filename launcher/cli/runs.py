"""`launcher status`, `logs` and `tensorboard`: looking at a run, all from its folder."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from launcher import child, streams
from launcher.cli.compare import show_list
from launcher.cli.display import print_json
from launcher.cli.result import print_chosen, print_numbers, print_warnings
from launcher.cli.summary import status_in_words, summary
from launcher.cluster import job_status, schedulers
from launcher.cluster.job_array import runs_named
from launcher.errors import BackendError, Problem, printable
from launcher.host import this_user
from launcher.host.processes import STILL_SECONDS, die_with_parent
from launcher.host.stop_requests import heed
from launcher.host.vital_signs import STOPPED, state_of
from launcher.plan import plan as planning
from launcher.printing import clock, is_step, one_line
from launcher.runs import driver, run_folder
from launcher.runs.pace import Pace
from launcher.runs.run_files import read_plan, read_with
from launcher.runs.run_folder import RunFolder

EVENTS_FOR_A_PACE = 200
"""How many of the last log lines are used to estimate the time that is left."""
SECONDS_TO_END = 5.0
"""How long a server may take to end."""
LONGEST_PIECE = 1 << 20
"""Characters of a log that are held at a time."""
SECONDS_BETWEEN_QUESTIONS = 3.0
"""A cluster's controller serves many users: it is not queried more often."""


def account_of(folder: RunFolder) -> dict[str, Any]:
    """Everything known about a run: from its files, and from the queue if it is a job."""
    plan, outcome = planning.from_document(read_plan(folder.plan)), folder.ended()
    events, attempts = list(filter(is_step, folder.newest_events(EVENTS_FOR_A_PACE))), folder.attempts()
    queue, brief = job_status.standing(folder), summary(folder)
    state = status_in_words(folder, queue)
    last, pace = events[-1] if events else None, Pace(plan.batch_size)
    for event in events:
        pace.hear(event)
    report: dict[str, Any] = {
        "run": folder.name,
        "status": state,
        "host": driver.driven_elsewhere(folder),
        "attempt": attempts[-1].number if attempts else 0,
        "strategy": plan.strategy,
        "world_size": plan.world_size,
        "step": last["step"] if last else 0,
        "steps": plan.steps,
        "loss": last["loss"] if last else None,
        "examples_per_second": last["examples_per_second"] if last else None,
        "validation": folder.newest_evaluation(),
        "chosen": brief.choice(),
        "problem": brief.problem,
        "ranks": {},
        "hang_seconds": plan.hang_seconds,
        "stopped_launcher": _stopped_launcher(folder),
        "queue": queue.document() if queue is not None else None,
    }
    if state == "running" and attempts:
        for rank in range(plan.world_size):
            beat = attempts[-1].beat(rank)
            if beat:
                report["ranks"][str(rank)] = {**beat, "silent_seconds": round(time.time() - beat.get("time", 0.0), 1)}
        if (left := pace.left(plan.steps)) is not None:
            report["seconds_left"] = round(left)
    if outcome:
        report["step"] = outcome.get("steps", report["step"])
        report["metrics"], report["problems"] = outcome.get("metrics"), outcome.get("problems")
        report["warnings"] = outcome.get("warnings") or []
    return report


def _stopped_launcher(folder: RunFolder) -> int | None:
    """The process that drives the run, if it is on this machine and suspended."""
    holder = driver.lease_holder(folder)
    return holder if holder is not None and state_of(holder) in STOPPED else None


def show_status(run: str, runs: Path, as_json: bool) -> None:
    """Print it; of an array or a pattern, a line for each of its runs."""
    folders = runs_named([run], runs)
    if len(folders) > 1:
        show_list(runs, as_json, [run])
        return
    report = account_of(folders[0])
    if as_json:
        print_json(report)
        return

    def say(line: str) -> None:
        print(one_line(line))  # nothing in a run's files may control the terminal

    where = f" on {report['host']}" if report["host"] and not report["queue"] else ""  # of a job the queue says where
    on = f"{report['strategy']} on {report['world_size']}"
    say(f"{report['run']}: {report['status']}{where}, attempt {report['attempt']}, {on}")
    loss = f", loss {report['loss']:.4f}" if report["loss"] is not None else ""
    if report["queue"]:
        _print_queue(report["queue"], say)
    say(f"step {report['step']} of {report['steps']}{loss}")
    if "seconds_left" in report:
        say(f"about {clock(report['seconds_left'])} left at {report['examples_per_second']:.1f} examples/s")
    for rank, beat in report["ranks"].items():
        silent = f", silent for {beat['silent_seconds']} s" if beat["silent_seconds"] > STILL_SECONDS else ""
        say(f"rank {rank}: {beat.get('section')} at step {beat.get('step', 0)}{silent}")
    if report["ranks"]:
        say(f"a rank without progress for {report['hang_seconds']:g} s hangs; its attempt is repeated")
    if pid := report["stopped_launcher"]:
        say(f"its launcher, process {pid}, is suspended; `kill -CONT {pid}` lets it go on")
    print_chosen(report["chosen"])
    newest, test = report["validation"], (report.get("metrics") or {}).get("test")
    if newest and newest.get("step") != (report["chosen"] or {}).get("step"):
        print_numbers(f"newest validation, at step {newest.get('step')}", newest)
    if test:
        print_numbers("test", test)
    print_warnings(report)
    if report["problem"]:
        say(f"damaged: {report['problem']}")
    for problem in report.get("problems") or []:
        for line in Problem(problem["what"], problem["where"], problem["do"]).lines():
            say(line)
    if report["status"] == "died":
        say(f"the run was killed without a word; go on with `launcher resume {report['run']}`")
    if report["status"] == "not started":
        say(f"nothing of it has begun; hand it over again with `launcher resume {report['run']}`")


def _print_queue(queue: dict[str, Any], say: Callable[[str], None]) -> None:
    on = f" on {queue['nodes']}" if queue["nodes"] else ""
    again = f", put back {queue['restarts']} times" if queue["restarts"] else ""
    why = f": {queue['why']}" if queue["why"] else ""
    say(f"job {queue['job']} of {queue['scheduler']}: {queue['state']}{on}{again}{why}")


def show_logs(run: str, runs: Path, rank: int, follow: bool) -> None:
    """Copy a rank's log of the newest attempt to stdout; with `follow` all that is added, until the run has ended."""
    folder = run_folder.find(run, runs)
    size = int(read_with(folder.plan, ["world_size"])["world_size"])
    path = _newest_log(folder, rank)
    while path is None and follow and rank in range(size) and _lives(folder):
        time.sleep(_pause(folder))  # a job that waits has no log yet
        path = _newest_log(folder, rank)
    if path is None:
        raise BackendError(Problem(f"rank {rank} has no log", str(folder.path), _why_no_log(folder, rank, size)))
    while path is not None:
        path = _copy(folder, path, rank, follow)


def _copy(folder: RunFolder, path: Path, rank: int, follow: bool) -> Path | None:
    """Copy a log to stdout; the log of the next attempt to go on with, or None at the end."""
    with path.open(encoding="utf-8", errors="replace") as file:
        while True:
            # both are checked before the read, so that the last output is not missed
            over, newer = not follow or not _lives(folder), _newest_log(folder, rank)
            text = file.read(LONGEST_PIECE)
            sys.stdout.write(printable(text))
            if streams.lost():  # the reader is gone
                return None
            if len(text) == LONGEST_PIECE:
                continue
            if follow and newer not in (None, path):
                return newer
            if over:
                return None
            if not text:
                time.sleep(_pause(folder))  # a shared file system does not notify of changes


def _why_no_log(folder: RunFolder, rank: int, size: int) -> str:
    if rank not in range(size):
        return f"ranks are 0 to {size - 1}"
    queue = job_status.standing(folder)
    if queue is not None and queue.alive:
        return f"its job is {queue.state}: {queue.why or 'its ranks begin'}; wait with --follow"
    for log in (folder.scheduler_log, folder.log):
        if folder.attempts() and log.is_file():
            return f"no rank of the newest attempt was started: {log} says why"
    if folder.attempts():
        return "a run started by hand prints to its own terminal"
    return f"nothing of it has begun: look at it with `launcher status {folder.name}`"


def _newest_log(folder: RunFolder, rank: int) -> Path | None:
    """The log of that rank in the newest attempt, once it is there."""
    attempts = folder.attempts()
    path = attempts[-1].log(rank) if attempts else None
    return path if path is not None and path.is_file() else None


def _pause(folder: RunFolder) -> float:
    return SECONDS_BETWEEN_QUESTIONS if folder.job.is_file() else 0.3


def _lives(folder: RunFolder) -> bool:
    """Whether a process drives the run, here or in a job of a cluster."""
    if driver.lease_holder(folder) is not None or driver.driven_elsewhere(folder) is not None:
        return True
    queue = job_status.standing(folder)
    return queue is not None and queue.alive


def tunnel(port: int, environment: Mapping[str, str]) -> str:
    """The ssh line that forwards this machine's port to the user's own; empty if the user sits at this one."""
    connection = environment.get("SSH_CONNECTION", "").split()  # their address and port, ours and its port
    inside = schedulers.around(environment)
    if len(connection) != 4 and inside is None:
        return ""
    words = ["ssh", "-N", "-L", f"{port}:127.0.0.1:{port}"]
    if inside is not None:  # a node: it is reached by way of the host that the job was submitted from
        words += ["-J", inside[1].submitted_from or "LOGIN_NODE"]
    elif connection[3] != "22":
        words += ["-p", connection[3]]
    return shlex.join([*words, f"{this_user.user_name()}@{socket.getfqdn()}"])


def serve_tensorboard(run: str | None, runs: Path, port: int) -> int:
    """Run TensorBoard on 127.0.0.1 until it is stopped; its exit code."""
    if run is not None:
        logs = [run_folder.find(run, runs)]
    else:
        logs = run_folder.all_runs(runs)
        if not logs:
            raise BackendError(Problem("there are no runs", str(runs.resolve()), "start one: launcher run RECIPE"))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BackendError(
                Problem(f"port {port} cannot be used: {error}", do="choose another with --port")
            ) from None
    print(f"TensorBoard of {run or runs}: http://127.0.0.1:{port}/ (Ctrl-C ends it)", flush=True)
    if line := tunnel(port, os.environ):
        print(f"on your own machine, to see it there: {line}", flush=True)
    with _logs(logs[0]) if run is not None else contextlib.nullcontext(runs.resolve()) as folder:
        return _served(
            child.words("tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1", f"--port={port}")
        )


def _served(command: list[str]) -> int:
    """Run the server until it ends or a signal ends us; its exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        heed(number, signal.default_int_handler)
    process = subprocess.Popen(command, preexec_fn=partial(die_with_parent, os.getpid()))
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        process.terminate()
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _logs(run: RunFolder) -> Iterator[Path]:
    """A folder in which TensorBoard finds one run and calls it by its name: it calls each by its folder.

    It is not shown the run's own folder: HParams finds no metrics of a run that is the top folder itself.
    """
    with tempfile.TemporaryDirectory(prefix="launcher-tensorboard-") as folder:
        (Path(folder) / run.name).symlink_to(run.tensorboard)
        yield Path(folder)
