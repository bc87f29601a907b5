"""`launcher run`: through the gates, then its attempts on this machine, shown while they run."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launcher import streams
from launcher.cli.display import Progress, data_lines, print_json, print_plan
from launcher.cli.result import print_outcome
from launcher.errors import Interrupted, Problem, WorkerError
from launcher.host import machine_facts
from launcher.host.stop_requests import StopRequests, signals_put_back
from launcher.launch import opening, run_request, supervisor, tracking
from launcher.launch.node import Node, modules_for
from launcher.launch.request import Request
from launcher.launch.supervisor import Ranks
from launcher.plan.placement import HANG_SECONDS
from launcher.plan.plan import Plan, command_by_hand
from launcher.recipe.recipe import LoadedRecipe
from launcher.runs import driver, run_files
from launcher.runs.attempt import AttemptFolder
from launcher.runs.run_folder import RunFolder
from launcher.shipped_files import shipped


class Session:
    """The session that a run is shown in: the terminal where it was typed (`launcher.cli.detach` has another one)."""

    def leave(self, folder: RunFolder) -> None:
        """Called when all gates are passed and nothing has started."""

    def opened(self, folder: RunFolder, attempt: AttemptFolder) -> None:
        """Called when the run's folder exists."""


HERE = Session()


def run_recipe(
    request: Request, dry_run: bool, as_json: bool, session: Session = HERE, began: float | None = None
) -> int:
    """Train; the exit code. Raises the LauncherError of whichever gate refused."""
    began = began or (machine_facts.process_start() if request.given is None else time.time())
    loaded = run_request.gates(request)
    folder = run_request.find_folder(request, loaded)
    if dry_run:
        return _dry_run(request, loaded, as_json)
    session.leave(folder)
    with _opened(request, loaded, folder, as_json) as (attempt, plan, node):
        session.opened(folder, attempt)
        return follow(request, folder, attempt, plan, node, began, as_json, StopRequests())


def train(request: Request) -> dict[str, Any]:
    """`launcher.run`: the same, called from a user's Python process; the outcome.

    Raises the LauncherError of whichever gate refused, WorkerError where a rank broke, Interrupted where it stopped.
    """
    began = time.time()
    loaded = run_request.gates(request)
    folder = run_request.find_folder(request, loaded)
    with _opened(request, loaded, folder, False) as (attempt, plan, node), signals_put_back():
        outcome = _driven(folder, attempt, plan, node, began, False, StopRequests())
    print_outcome(folder, outcome)
    if outcome["status"] == "stopped":
        what = f"run {folder.name} was stopped after step {outcome['steps']}"
        do = f"go on with: {resume_line(request, folder.name, ())}"
        raise Interrupted(Problem(what, str(folder.path), do))
    return {"run": str(folder.path), **outcome}


@contextlib.contextmanager
def _opened(
    request: Request, loaded: LoadedRecipe, folder: RunFolder, to_stderr: bool
) -> Iterator[tuple[AttemptFolder, Plan, Node]]:
    """The run's next attempt, its plan, and the process that its ranks are forked from."""
    node = Node.open(modules_for(loaded.recipe, bool(machine_facts.facts().gpus)))  # imports while the data is prepared
    try:
        print("preparing the data", file=sys.stderr if to_stderr else sys.stdout, flush=True)
        plan = run_request.make_plan(request, loaded)
        if request.resume:
            plan = supervisor.below_known_oom(folder, plan)
        yield opening.open_folder(folder, request, loaded, plan), plan, node
    finally:
        node.close()


def follow(
    request: Request,
    folder: RunFolder,
    attempt: AttemptFolder,
    plan: Plan,
    ranks: Ranks,
    began: float,
    as_json: bool,
    stop: StopRequests,
    machines: tuple[str, ...] = (),
) -> int:
    """Drive the run to its end and show it; the exit code. `machines` are the words that this one was typed with."""
    try:
        outcome = _driven(folder, attempt, plan, ranks, began, as_json, stop)
    except WorkerError as error:
        if as_json:
            print_json({**(run_files.read_json(folder.outcome) or {}), **error.document()})
        print(f"launcher: {error}\nresume with: {resume_line(request, folder.name, machines)}", file=sys.stderr)
        return error.exit_code
    if as_json:
        print_json({"run": str(folder.path), **outcome})
    else:
        print_outcome(folder, outcome)
    if outcome["status"] == "stopped":
        print(f"stopped; go on with: {resume_line(request, folder.name, machines)}", file=sys.stderr)
        return Interrupted.exit_code
    return 0


def _driven(
    folder: RunFolder,
    attempt: AttemptFolder,
    plan: Plan,
    ranks: Ranks,
    began: float,
    to_stderr: bool,
    stop: StopRequests,
) -> dict[str, Any]:
    """Drive the run to its end and show how it goes; the outcome."""
    stop.listen()
    streams.wait_for_readers(for_ever=False)
    progress = Progress(folder, plan, to_stderr)
    try:
        progress.say(f"run {folder.name}: {plan.strategy} on {plan.device}, {plan.derivation()}")
        if "cannot be predicted" in plan.why:
            progress.say(plan.why)
        for line in data_lines(run_files.read_json(Path(plan.prepared) / "facts.json")):
            progress.say(line)
        return supervisor.drive(folder, attempt, plan, ranks, began, progress.tick, stop)
    finally:
        progress.close()
        driver.drop_lease(folder)
        streams.wait_for_readers(for_ever=True)


def _dry_run(request: Request, loaded: LoadedRecipe, as_json: bool) -> int:
    plan = run_request.make_plan(request, loaded)
    line = "" if request.given else by_hand_line(request, plan)
    if as_json:
        names = tracking.named(request.trackers)
        print_json({"plan": plan.document(), "trackers": names, "accelerate_launch": line})
    else:
        print_plan(loaded, plan, line, tracking.named(request.trackers))
    return 0


def by_hand_line(request: Request, plan: Plan) -> str:
    """The `accelerate launch` line that gives the same run."""
    options = [part for key, value in request.overrides.items() for part in ("--set", f"{key}={value}")]
    if request.name:
        options += ["--name", request.name]
    if request.runs != Path("runs"):
        options += ["--runs", str(request.runs)]
    if request.placement.device != "auto":
        options += ["--device", request.placement.device]
    options += [part for name in tracking.named(request.trackers) for part in ("--tracker", name)]
    config = shipped("accelerate_configs") / f"{plan.strategy}.yaml"
    return command_by_hand(plan, str(request.recipe), _short(config), options)


def resume_line(request: Request, name: str, machines: tuple[str, ...]) -> str:
    """What is typed to go on with the run; `machines` are the words of this machine, where several share it."""
    recipe = request.recipe if request.given is None else request.runs / name / "recipe.py"
    words: list[Any] = ["launcher", "run", recipe, "--name", name, "--resume", *machines]
    if request.placement.processes:
        words += ["--processes", request.placement.processes]
    for option in ("strategy", "device"):
        if getattr(request.placement, option) != "auto":
            words += [f"--{option}", getattr(request.placement, option)]
    if request.placement.hang_seconds != HANG_SECONDS:
        words += ["--hang-seconds", f"{request.placement.hang_seconds:g}"]
    for key, value in request.overrides.items():
        words += ["--set", f"{key}={value}"]
    if request.runs != Path("runs"):
        words += ["--runs", request.runs]
    return shlex.join(str(word) for word in words)


def _short(path: Path) -> str:
    """The path as one would type it here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
