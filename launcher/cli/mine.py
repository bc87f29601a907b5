"""`launcher mine`: hard negatives by a finished run's model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.child import Heavy
from launcher.cli.display import print_json
from launcher.errors import DataError, Problem
from launcher.model import model_folder


def show_mining(
    run: str, runs: Path, data: Path | None, output: Path, choice: Mapping[str, Any], as_json: bool
) -> None:
    """Write the file with a bar for how far it is, and say what is in it."""
    folder = model_folder(run, runs)
    if not output.resolve().parent.is_dir():
        raise DataError(Problem("there is no such folder", str(output.resolve().parent), "make it first"))
    file = None if data is None else str(data.resolve())
    request = {"model": str(folder), "data": file, "output": str(output.resolve()), **choice}
    told = _mined(request)
    if as_json:
        print_json(told)
        return
    rows, queries = f"{told['rows']:,} rows", f"{told['queries']:,} queries among {told['passages']:,} passages"
    print(f"{told['negatives']:,} negatives in {rows}: {queries}")
    if told["without"]:
        print(f"{told['without']:,} rows are left out: no passage is near and certainly none of theirs")
    print(told["file"])


def _mined(request: dict[str, Any]) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Heavy("mine") as child, Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("looking for negatives", total=None)
        child.ask(request)
        while "ended" not in (line := child.line()):
            bar.update(shown, completed=line["done"], total=line["of"])
        ended: dict[str, Any] = line["ended"]
        return ended
