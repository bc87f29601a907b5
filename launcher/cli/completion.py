"""What a shell offers when Tab is pressed: run names, recipe files, shipped recipes. It starts nothing."""

from __future__ import annotations

from pathlib import Path

import typer

from launcher.runs import run_folder


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the runs under --runs, the newest first."""

    folders = run_folder.all_runs(context.params.get("runs") or "runs")
    return [folder.name for folder in reversed(folders) if folder.name.startswith(incomplete)]


def runs_and_arrays(context: typer.Context, incomplete: str) -> list[str]:
    """The same, and names of arrays."""
    root = Path(context.params.get("runs") or "runs")
    arrays = sorted(path.parent.name for path in root.glob("*/array.json"))
    return [*runs(context, incomplete), *(name for name in arrays if name.startswith(incomplete))]


def recipe_files(incomplete: str) -> list[str]:
    """Python files and folders that begin so, as paths."""
    folder, _, start = incomplete.rpartition("/")
    prefix = f"{folder}/" if "/" in incomplete else ""
    try:
        paths = sorted(Path(prefix or ".").iterdir())
    except OSError:
        return []
    names = [path.name + "/" if path.is_dir() else path.name for path in paths]
    offered = [name for name in names if name.endswith(("/", ".py")) and not name.startswith((".", "__"))]
    return [prefix + name for name in offered if name.startswith(start)]


def shipped_recipes(incomplete: str) -> list[str]:
    """Names of the shipped recipes."""
    from launcher.shipped_files import shipped

    return [path.stem for path in sorted(shipped("recipes").glob("*.py")) if path.stem.startswith(incomplete)]
