"""`launcher export`: a finished run's model in a format of other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from launcher.child import heavy
from launcher.cli.display import print_json
from launcher.errors import DataError, Problem
from launcher.model import model_folder

ELSE = "name another one, or remove it"


def write_export(run: str, runs: Path, kind: str, output: Path, texts: Path | None, as_json: bool) -> None:
    """Write the file and print how it compares."""
    folder = model_folder(run, runs)
    there = [Problem("there is a file already", str(path), ELSE) for path in (output, texts) if path and path.exists()]
    if there:
        raise DataError(there)
    request = {"model": str(folder), "format": kind, "output": str(output.resolve())}
    told = heavy("export", {**request, "texts": texts and str(texts.resolve())})
    if as_json:
        print_json(told)
        return
    print(_said(told))
    if told.get("left_out"):
        print(f"{told['left_out']:,} words hold white space, which the format cannot; left out", file=sys.stderr)


def _said(told: dict[str, Any]) -> str:
    lines = [f"{told['file']}: {told['words']:,} words, {told['dimension']:,} numbers each"]
    if "equal_labels" in told:
        lines.append("it cuts texts at white space: give it words as the recipe cuts them, with blanks between them")
        lines.append(
            f"read back: {told['equal_labels']:,} of {told['compared']:,} test texts have the same label; "
            f"largest difference of a probability {told['largest_difference']:.1g}"
        )
    elif "compared" in told:
        lines.append(f"read back: {told['compared']:,} vectors, largest difference {told['largest_difference']:.1g}")
    return "\n".join(lines)
