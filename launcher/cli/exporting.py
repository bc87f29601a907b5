"""`launcher export`: a finished run's model in a format of other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from launcher.child import heavy
from launcher.cli.display import print_json
from launcher.cli.options import Json, RunName, Runs, examples
from launcher.errors import DataError, Problem
from launcher.model import model_folder

Kind = Literal["fasttext", "vec"]


def add_to(app: typer.Typer) -> None:
    """Give the command this verb."""
    app.command(
        epilog=examples(
            "launcher export a --format fasttext --output a.bin",
            "launcher export a --format vec --output a.vec --json",
        )
    )(export)


def export(
    run: RunName,
    format_: Annotated[Kind, typer.Option("--format", help="fasttext: its .bin; vec: a word and its numbers a line.")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The file to write; it must not be there yet.")],
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Write a finished run's model as a file for other programs, compared with the model before it counts."""
    folder = model_folder(run, runs)
    if output.exists():
        raise DataError(Problem("there is a file already", str(output), "name another one, or remove it"))
    told = heavy("export", {"model": str(folder), "format": format_, "output": str(output.resolve())})
    if as_json:
        print_json(told)
        return
    print(_said(told))
    if told.get("left_out"):
        print(f"{told['left_out']:,} words hold white space, which the format cannot; left out", file=sys.stderr)


def _said(told: dict[str, Any]) -> str:
    lines = [f"{told['file']}: {told['words']:,} words, {told['dimension']:,} numbers each"]
    if "equal_labels" in told:
        lines.append(
            f"read back: {told['equal_labels']:,} of {told['compared']:,} test texts have the same label; "
            f"largest difference of a probability {told['largest_difference']:.1g}"
        )
    elif "compared" in told:
        lines.append(f"read back: {told['compared']:,} vectors, largest difference {told['largest_difference']:.1g}")
    return "\n".join(lines)
