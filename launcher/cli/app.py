"""The `launcher` command: its verbs, their options and help. Each verb imports what it needs when it runs."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launcher.cli import (
    asking,
    clean,
    data,
    doctor,
    embeddings,
    recipes,
    reference,
    runs_options,
    serve,
    submit_verbs,
    usage,
)
from launcher.cli.options import (
    Detach,
    FromRun,
    HangSeconds,
    Json,
    RecipePath,
    Runs,
    Sets,
    Strategy,
    Trackers,
    WithOptimiser,
    examples,
)
from launcher.cli.overrides import going_on, parse_each, parse_sets
from launcher.cli.submit_options import Each
from launcher.errors import LauncherError, Problem
from launcher.host.stop_requests import interrupts_come_again
from launcher.plan.placement import HANG_SECONDS, Placement
from launcher.printing import json_line

if TYPE_CHECKING:
    from launcher.launch.request import Request
    from launcher.recipe.recipe import Recipe
    from launcher.recipe.tracker import CustomTracker

app = typer.Typer(
    name="launcher",
    help="Fine-tune from one Python recipe: plan it, start it, watch it, prove the result.",
    epilog=examples(
        "launcher recipes copy reviews_zh",
        "launcher run reviews_zh.py --name first",
        'launcher predict first "房间很干净"',
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
recipes.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"launcher {metadata.version('recipe-launcher')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    global _debug
    _debug = debug


_debug = False
"""Set by --debug; a global because errors are printed by `main`, outside click."""
_carry_out: Callable[[Request, bool], int] | None = None
"""What `run` does instead in a process that another launcher started (see `launcher.api.start`). These are globals
because click calls the verbs with options only."""
_given: Recipe | None = None
"""The recipe itself, where Python code has made it."""
_trackers: Sequence[CustomTracker] = ()
"""The trackers of the user's own that Python code has made."""


@app.command(
    epilog=examples(
        "launcher run recipes/reviews_zh.py",
        "launcher run recipes/reviews_zh.py --processes 2 --name a --set training.dropout=0",
        "launcher run recipes/reviews_zh.py --name a --resume",
        "launcher run more_reviews.py --name c --from a --set training.replay=0.1",
        "launcher run recipes/reviews_zh.py --name b --each training.seed=1,2,3 --tracker wandb",
        "launcher run recipes/reviews_zh.py --name a --machines 2 --machine-rank 0 --head node1:29500",
    )
)
def run(
    recipe: RecipePath,
    processes: Annotated[int | None, typer.Option(help="Processes on this machine; default one a GPU, or one.")] = None,
    strategy: Strategy = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    name: Annotated[str | None, typer.Option(help="The run's name; default RECIPE-timestamp.")] = None,
    runs: Runs = Path("runs"),
    set_: Sets = None,
    each: Each = None,
    from_run: FromRun = None,
    with_optimiser: WithOptimiser = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and the accelerate line; start nothing.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped or failed run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")] = False,
    detach: Detach = False,
    tracker: Trackers = None,
    machines: Annotated[int | None, typer.Option(help="Machines that share the run; type the line on each.")] = None,
    machine_rank: Annotated[int | None, typer.Option(metavar="K", help="Which of them this is, from 0.")] = None,
    head: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Machine 0, as the others reach it.")] = None,
    wait: Annotated[int, typer.Option(min=1, help="Seconds that machines wait for each other.")] = 600,
    hang_seconds: HangSeconds = HANG_SECONDS,
    as_json: Json = False,
) -> None:
    """Train a recipe on this machine and prove the saved model."""
    from launcher.launch.request import Request

    if resume and overwrite:
        raise LauncherError(Problem("--resume and --overwrite exclude each other", do="give one of them"))
    placement = Placement(processes, strategy, device, machines or 1, hang_seconds)
    sets = going_on(parse_sets(set_), from_run, with_optimiser, runs)
    request = Request(recipe, sets, placement, name, runs, resume, overwrite, given=_given)
    request = replace(request, trackers=(*(tracker or ()), *_trackers))
    if each:
        from launcher.cli.sweep import refuse_to_sweep, run_each

        refuse_to_sweep({"--detach": detach, "--machines": bool(machines), "torchrun": bool(_carry_out)})
        raise typer.Exit(run_each(request, parse_each(each, request.overrides), dry_run, as_json))
    raise typer.Exit(_train(request, dry_run, detach, (machines, machine_rank, head), wait, as_json))


def _train(
    request: Request,
    dry_run: bool,
    detach: bool,
    machines: tuple[int | None, int | None, str | None],
    wait: int,
    as_json: bool,
) -> int:
    """Train in the background, as a rank that another launcher started, as one of several machines, or here; the exit
    code."""
    if detach:
        from launcher.cli.detach import refuse_to_detach, run_detached

        refuse_to_detach({"--dry-run": dry_run, "--machines": bool(machines[0]), "torchrun": bool(_carry_out)})
        return run_detached(request, as_json)
    if _carry_out is not None and not dry_run:
        return _carry_out(request, as_json)
    if machines != (None, None, None):
        from launcher.multinode.rendezvous import meeting

        here = meeting(machines[0] or 0, machines[1], machines[2], wait)
        if not dry_run:
            from launcher.cli.machines import run_on_machines

            return run_on_machines(request, here, as_json)
    from launcher.cli.run import run_recipe

    return run_recipe(request, dry_run=dry_run, as_json=as_json)


@app.command(
    epilog=examples(
        "launcher verify recipes/reviews_zh.py",
        "launcher verify recipes/people_daily_ner_zh.py --strategies fsdp2,zero3 --processes 2 --steps 50",
    )
)
def verify(
    recipe: RecipePath,
    strategies: Annotated[
        str, typer.Option(metavar="NAMES", help="Which to compare with one process, by commas.")
    ] = "ddp,fsdp2,zero1,zero2,zero3",
    processes: Annotated[list[int] | None, typer.Option(help="On how many processes; default 2. Repeatable.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of each run.")] = 20,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    set_: Sets = None,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Leave the runs there; default nowhere.")] = None,
    as_json: Json = False,
) -> None:
    """Train a slice of a recipe under every strategy and compare.

    Exit 0 if losses and saved models agree.
    """
    from launcher.cli.verify import verify_recipe
    from launcher.launch.request import Request

    names = [name.strip() for name in strategies.split(",") if name.strip()]
    request = Request(recipe, parse_sets(set_), Placement(device=device))
    raise typer.Exit(verify_recipe(request, names, processes or [2], steps, keep, as_json))


@app.command(
    epilog=examples(
        "launcher plan recipes/reviews_zh.py",
        "launcher plan recipes/sst2_lora.py --nodes 1 --processes-per-node 8 --gpu-memory 24GB --json",
    )
)
def plan(
    recipe: RecipePath,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
    processes_per_node: Annotated[
        int | None, typer.Option(min=1, help="Processes on each; default one a GPU, or one.")
    ] = None,
    gpu_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Plan for GPUs of this size, e.g. 80GB; default this machine.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="Look at this one only; default all.")] = "auto",
    set_: Sets = None,
    from_run: FromRun = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Say what memory each strategy takes and which one fits.

    And which one a run would use. Nothing is started.
    """
    from launcher.cli.plan import show_plan
    from launcher.launch.request import Request

    placement = Placement(processes=processes_per_node, strategy=strategy, nodes=nodes)
    request = Request(recipe, going_on(parse_sets(set_), from_run, False, runs), placement)
    raise typer.Exit(show_plan(request, gpu_memory, as_json))


runs_options.add_to(app)


asking.add_to(app)
serve.add_to(app)
submit_verbs.add_to(app)
clean.add_to(app)
data.add_to(app)
embeddings.add_to(app)
doctor.add_to(app)
reference.add_to(app)


def main(
    arguments: list[str] | None = None,
    carry_out: Callable[[Request, bool], int] | None = None,
    given: Recipe | None = None,
    trackers: Sequence[CustomTracker] = (),
) -> None:
    """Carry out a command line and leave with its exit code; a user's mistake shows no traceback."""
    global _carry_out, _given, _trackers
    _carry_out, _given, _trackers = carry_out, given, trackers
    arguments = sys.argv[1:] if arguments is None else arguments
    command = typer.main.get_command(app)
    try:
        usage.refuse_unknown_verb(arguments, command)
        with interrupts_come_again():
            code = command.main(arguments, prog_name="launcher", standalone_mode=False)
    except LauncherError as error:
        code = _print_error(error, arguments)
    except typer.Abort:
        code = 130
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        ours = usage.in_our_words(error)
        code = _print_error(ours, arguments) if ours else usage.print_usage_error(error, arguments)
    sys.exit(usage.heard(code if isinstance(code, int) else 0, arguments, _print_error))


def _print_error(error: LauncherError, arguments: list[str]) -> int:
    if _debug:
        traceback.print_exc()
    if "--json" in arguments:
        print(json_line(error.document()))
    print(f"launcher: {error}", file=sys.stderr)
    return error.exit_code
