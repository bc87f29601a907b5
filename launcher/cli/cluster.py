"""The verbs that start a job, and those that end a run and go on with it: their options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from launcher.cli.options import Json, RecipePath, RunName, Runs, Sets, Strategy
from launcher.cli.overrides import parse_sets


def submit(
    recipe: RecipePath,
    nodes: Annotated[int | None, typer.Option(min=1, help="Machines; default the profile's, or 1.")] = None,
    processes_per_node: Annotated[
        int | None, typer.Option(min=1, help="Processes on each; default the profile's, or one a GPU.")
    ] = None,
    strategy: Strategy = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    name: Annotated[str | None, typer.Option(help="The run's name; default RECIPE-timestamp.")] = None,
    runs: Runs = Path("runs"),
    set_: Sets = None,
    profile: Annotated[str | None, typer.Option(help="A [profile.NAME] of launcher.toml; default `default`.")] = None,
    partition: Annotated[str | None, typer.Option(help="Partition, or several with commas.")] = None,
    account: Annotated[str | None, typer.Option(help="Account.")] = None,
    qos: Annotated[str | None, typer.Option(help="Quality of service.")] = None,
    time: Annotated[str | None, typer.Option(help="Limit: minutes, HH:MM:SS or D-HH:MM:SS.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory of each node, e.g. 64G.")] = None,
    cpus_per_process: Annotated[
        int | None, typer.Option(min=1, help="Cores of each process; default its share.")
    ] = None,
    gpu_type: Annotated[str | None, typer.Option(help="Type of GPU, as the cluster names it.")] = None,
    gpu_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory of a GPU, e.g. 80GB: Slurm does not tell it.")
    ] = None,
    constraint: Annotated[str | None, typer.Option(help="Features that nodes must have.")] = None,
    reservation: Annotated[str | None, typer.Option(help="Reservation.")] = None,
    exclude: Annotated[str | None, typer.Option(help="Hosts to avoid.")] = None,
    max_requeues: Annotated[int, typer.Option(min=0, help="Give up when Slurm put it back more often.")] = 20,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print sbatch's words, environment and script; submit nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a recipe as a job of a Slurm cluster, on one or several nodes."""
    from launcher.attempts import Request
    from launcher.cli.submit import submit_recipe
    from launcher.spec.placement import Placement

    request = Request(
        recipe, parse_sets(set_), Placement(strategy=strategy, device=device), name, runs, overwrite=overwrite
    )
    options = {
        **{"partition": partition, "account": account, "qos": qos, "time": time, "memory": memory},
        **{"cpus_per_process": cpus_per_process, "gpu_type": gpu_type, "constraint": constraint},
        **{"reservation": reservation, "exclude": exclude, "gpu_memory": gpu_memory},
    }
    submit_recipe(request, profile, options, nodes, processes_per_node, max_requeues, dry_run, as_json)


def cancel(run: RunName, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Have a run save and end, here or on the cluster."""
    from launcher.cli.control import cancel_run

    cancel_run(run, runs, as_json)


def resume(run: RunName, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Go on with a stopped or failed run where it was, with the options it had."""
    from launcher.cli.control import resume_run

    raise typer.Exit(resume_run(run, runs, as_json))


def add_to(app: typer.Typer) -> None:
    """Make them verbs of the command."""
    app.command(
        epilog="Examples:  launcher submit recipes/reviews_zh.py --nodes 2 --processes-per-node 4 --name a  |  "
        "launcher submit recipes/reviews_zh.py --profile gpu --dry-run"
    )(submit)
    app.command(epilog="Example:  launcher cancel a")(cancel)
    app.command(epilog="Example:  launcher resume a")(resume)
