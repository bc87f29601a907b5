"""`launcher run`: through the gates, then its attempts on this machine, shown while they run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from launcher import attempts, driving, rundir
from launcher.attempts import Request
from launcher.backends import local
from launcher.cli.display import Progress, data_lines, print_json, print_plan
from launcher.cli.result import print_outcome
from launcher.driving import Ranks
from launcher.errors import Interrupted, WorkerError
from launcher.node import Node, modules_for
from launcher.plan import Plan, command_by_hand
from launcher.recipe import LoadedRecipe
from launcher.rundir import AttemptFolder, RunFolder
from launcher.shipped import shipped
from launcher.stopping import StopRequests


def run_recipe(request: Request, dry_run: bool, as_json: bool) -> int:
    """Train; the exit code. Raises the LauncherError of whichever gate refused."""
    began = local.process_start()
    loaded = attempts.gates(request)
    folder = attempts.find_folder(request, loaded)
    if dry_run:
        return _dry_run(request, loaded, as_json)
    modules = modules_for(loaded.recipe, bool(local.facts().gpus))
    node = Node.open(modules)  # imports while the data is prepared
    try:
        plan = attempts.make_plan(request, loaded)
        if request.resume:
            plan = driving.spared(folder, plan)
        attempt = attempts.open_folder(folder, request, loaded, plan)
        return follow(request, folder, attempt, plan, node, began, as_json, StopRequests())
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
    stop.listen()
    progress = Progress(folder, plan, to_stderr=as_json)
    try:
        progress.say(f"run {folder.name}: {plan.strategy} on {plan.device}, {plan.derivation()}")
        for line in data_lines(rundir.read_json(Path(plan.prepared) / "facts.json")):
            progress.say(line)
        outcome = driving.drive(folder, attempt, plan, ranks, began, progress.tick, stop)
    except WorkerError as error:
        progress.close()
        if as_json:
            print_json({**(rundir.read_json(folder.outcome) or {}), **error.document()})
        print(f"launcher: {error}\nresume with: {resume_line(request, folder.name, machines)}", file=sys.stderr)
        return error.exit_code
    finally:
        progress.close()
        rundir.drop_lease(folder)
    if as_json:
        print_json({"run": str(folder.path), **outcome})
    else:
        print_outcome(folder, outcome)
    if outcome["status"] == "stopped":
        print(f"stopped; go on with: {resume_line(request, folder.name, machines)}", file=sys.stderr)
        return Interrupted.exit_code
    return 0


def _dry_run(request: Request, loaded: LoadedRecipe, as_json: bool) -> int:
    plan = attempts.make_plan(request, loaded)
    line = by_hand_line(request, plan)
    if as_json:
        print_json({"plan": plan.document(), "accelerate_launch": line})
    else:
        print_plan(loaded, plan, line)
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
    config = shipped("accelerate_configs") / f"{plan.strategy}.yaml"
    return command_by_hand(plan, str(request.recipe), _short(config), options)


def resume_line(request: Request, name: str, machines: tuple[str, ...]) -> str:
    """What is typed to go on with the run; `machines` are the words of this machine, where several share it."""
    words: list[Any] = ["launcher", "run", request.recipe, "--name", name, "--resume", *machines]
    if request.placement.processes:
        words += ["--processes", request.placement.processes]
    for option in ("strategy", "device"):
        if getattr(request.placement, option) != "auto":
            words += [f"--{option}", getattr(request.placement, option)]
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
