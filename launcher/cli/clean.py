"""`launcher clean`: what can be removed of runs and of the cache; nothing is removed without --yes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from launcher.cli import completion
from launcher.cli.options import Json, Runs, examples
from launcher.runs import run_folder


def clean(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN", help="Runs, arrays or patterns such as 'a-*'.", autocompletion=completion.runs_and_arrays
        ),
    ] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Only the checkpoints of finished runs; without RUN, of all.")
    ] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Also prepared data and trained vectors.")] = False,
    days: Annotated[float, typer.Option("--unused-days", min=0, help="Cache entries unused for this many days.")] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this it is only listed.")] = False,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """List what runs and the cache take, and remove it.

    Nothing is removed without --yes. What is in use is kept.
    """
    raise typer.Exit(_clean(names or [], checkpoints, cache, days, yes, runs, as_json))


def _clean(names: list[str], checkpoints: bool, cache: bool, days: float, yes: bool, runs: Path, as_json: bool) -> int:
    from launcher.cli.columns import print_table, terminal_width
    from launcher.cli.display import print_json
    from launcher.cluster.job_array import runs_named
    from launcher.errors import BackendError, LauncherError, Problem
    from launcher.launch import cleaning
    from launcher.plan.fit import size

    if not names and not checkpoints and not cache:
        do = "name runs (also as a pattern: 'a-*'), or give --checkpoints or --cache"
        raise LauncherError(Problem("nothing was named for removal", "launcher clean", do))
    folders = runs_named(names, runs) if names else run_folder.all_runs(runs) if checkpoints else []
    items = cleaning.of_runs(folders, checkpoints) + (cleaning.of_cache(days, runs) if cache else [])
    going, problems = [item for item in items if not item.kept], []
    for item in list(going) if yes else ():
        try:
            cleaning.remove(item)
        except BackendError as error:
            going.remove(item)
            problems += error.problems
    total = sum(item.size for item in going)
    if as_json:
        print_json({"removed": yes, "bytes": total, "items": [item.document() for item in items]})
    else:
        if items:
            rows = [[size(item.size), item.what, str(item.path)] for item in items]
            below = [[f"stays: {item.kept}"] if item.kept else [] for item in items]
            print_table([["size", "what", "where"], *rows], terminal_width(), below)
        how = "removed" if yes else "can be removed: add --yes"
        print(f"{size(total)} {how}" if going else "nothing is removed" if yes else "there is nothing to remove")
    if problems:
        raise BackendError(problems)
    return 0


def add_to(app: typer.Typer) -> None:
    """Make it a verb of the command."""
    app.command(epilog=examples("launcher clean 'trial-*'", "launcher clean --checkpoints --cache --yes"))(clean)
