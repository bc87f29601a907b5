"""The verbs that look at recipes and runs: their options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from launcher.cli import completion
from launcher.cli.options import Json, RunName, RunOrArray, Runs, Sets, Trackers, examples
from launcher.cli.overrides import parse_sets


def show(
    recipe: Annotated[
        Path,
        typer.Argument(metavar="RECIPE", help="A recipe module, or a run.", autocompletion=completion.recipe_files),
    ],
    set_: Sets = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Print every value of a recipe and where it came from.

    Of a run also which step was chosen, and its figures.
    """
    from launcher.cli.show import show_recipe

    show_recipe(recipe, parse_sets(set_), runs, as_json)


def status(run: RunOrArray, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Say how a run stands: step, loss, metrics, ranks."""
    from launcher.cli.runs import show_status

    show_status(run, runs, as_json)


def list_(runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """List all runs: step, chosen step, metric, date, job."""
    from launcher.cli.compare import show_list

    show_list(runs, as_json)


def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Runs, arrays or patterns such as 'a-*'; default all under --runs.",
            autocompletion=completion.runs_and_arrays,
        ),
    ] = None,
    png: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw their curves there.")] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Compare runs of each task, the best first.

    In what their recipes differ, metrics, time, memory.
    """
    from launcher.cli.compare import show_comparison

    show_comparison(names or [], runs, as_json, png)


def logs(
    run: RunName,
    rank: Annotated[int, typer.Option(help="Whose log.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Print what a rank printed in the newest attempt."""
    from launcher.cli.runs import show_logs

    show_logs(run, runs, rank, follow)


def tensorboard(
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="One run; default all under --runs.", autocompletion=completion.runs),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 6006,
    runs: Runs = Path("runs"),
) -> None:
    """Serve TensorBoard of one run or of all, until Ctrl-C.

    On loopback alone.
    """
    from launcher.cli.runs import serve_tensorboard

    raise typer.Exit(serve_tensorboard(run, runs, port))


def track(
    run: RunName,
    tracker: Trackers = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Tell a tracker what a run has reported and it does not know yet.

    For runs on machines without a network, and for what was left when a run ended. Default: the run's own trackers.
    """
    from launcher.cli.tracking import track_run

    track_run(run, runs, tracker or [], as_json)


def add_to(app: typer.Typer) -> None:
    """Make them verbs of the command."""
    app.command(epilog=examples("launcher show recipes/reviews_zh.py --set training.seed=1", "launcher show a"))(show)
    app.command(epilog=examples("launcher status reviews_zh-20260101-120000"))(status)
    app.command("list", epilog=examples("launcher list --json"))(list_)
    app.command(epilog=examples("launcher compare a b", "launcher compare sweep --png figures"))(compare)
    app.command(epilog=examples("launcher logs a --rank 1 --follow"))(logs)
    app.command(epilog=examples("launcher track a --tracker wandb", "launcher track a --tracker to_chat.py"))(track)
    app.command(epilog=examples("launcher tensorboard --port 6006"))(tensorboard)
