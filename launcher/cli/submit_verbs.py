"""The verbs that start a job, and those that end a run and go on with it: their options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from launcher.cli import submit_options as options
from launcher.cli.options import (
    Detach,
    FromRun,
    HangSeconds,
    Json,
    RunName,
    RunOrArray,
    Runs,
    Sets,
    Strategy,
    Trackers,
    WithOptimiser,
    examples,
)
from launcher.cli.overrides import going_on, parse_each, parse_sets
from launcher.plan.placement import HANG_SECONDS, Placement


def submit(
    recipes: options.Recipes,
    nodes: options.Nodes = None,
    processes_per_node: options.ProcessesPerNode = None,
    strategy: Strategy = "auto",
    device: options.Device = "auto",
    name: options.Name = None,
    runs: Runs = Path("runs"),
    set_: Sets = None,
    from_run: FromRun = None,
    with_optimiser: WithOptimiser = False,
    profile: options.ProfileName = None,
    partition: options.Partition = None,
    account: options.Account = None,
    qos: options.Qos = None,
    time: options.Time = None,
    memory: options.Memory = None,
    cpus_per_process: options.CpusPerProcess = None,
    gpu_type: options.GpuType = None,
    gpu_memory: options.GpuMemory = None,
    constraint: options.Constraint = None,
    reservation: options.Reservation = None,
    exclude: options.Exclude = None,
    exclusive: options.Exclusive = None,
    after: options.After = None,
    array: options.Array = False,
    each: options.Each = None,
    at_once: options.AtOnce = None,
    max_requeues: options.MaxRequeues = 20,
    hang_seconds: HangSeconds = HANG_SECONDS,
    overwrite: options.Overwrite = False,
    tracker: Trackers = None,
    dry_run: options.DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a recipe as a job of a Slurm cluster.

    On one or several nodes; several recipes as a job array.
    """
    from launcher.cli.submit import Wanted, submit_recipes, terms_for
    from launcher.launch.request import Request

    sets = going_on(parse_sets(set_), from_run, with_optimiser, runs)
    placement = Placement(strategy=strategy, device=device, hang_seconds=hang_seconds)
    request = Request(recipes[0], sets, placement, name, runs, overwrite=overwrite, trackers=tuple(tracker or ()))
    wishes: dict[str, Any] = {"partition": partition, "account": account, "qos": qos, "time": time, "memory": memory}
    wishes |= {"cpus_per_process": cpus_per_process, "gpu_type": gpu_type, "constraint": constraint}
    wishes |= {"reservation": reservation, "exclude": exclude, "gpu_memory": gpu_memory, "exclusive": exclusive}
    terms = terms_for(profile, wishes, nodes, processes_per_node, max_requeues, after or [], runs)
    submit_recipes(request, Wanted(recipes, parse_each(each, sets), array, at_once), terms, dry_run, as_json)


def cancel(run: RunOrArray, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Have a run save and end, here or on the cluster."""
    from launcher.cli.control import cancel_run

    cancel_run(run, runs, as_json)


def resume(run: RunName, runs: Runs = Path("runs"), detach: Detach = False, as_json: Json = False) -> None:
    """Go on with a stopped or failed run where it was.

    With the options it had.
    """
    from launcher.cli.control import resume_run

    raise typer.Exit(resume_run(run, runs, detach, as_json))


def add_to(app: typer.Typer) -> None:
    """Make them verbs of the command."""
    app.command(
        epilog=examples(
            "launcher submit recipes/reviews_zh.py --nodes 2 --processes-per-node 4 --name a",
            "launcher submit recipes/reviews_zh.py --profile gpu --dry-run",
            "launcher submit recipes/reviews_zh.py --name b --array --each training.seed=1,2,3 --at-once 2 --after a",
        )
    )(submit)
    app.command(epilog=examples("launcher cancel a"))(cancel)
    app.command(epilog=examples("launcher resume a"))(resume)
