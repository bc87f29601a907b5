"""`launcher merge`: the adapters of finished runs in one whole model."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from launcher.child import heavy
from launcher.cli.display import print_json
from launcher.cli.exporting import ELSE
from launcher.errors import DataError, LauncherError, Problem
from launcher.model import called, model_folder

USUAL_DENSITY = 0.2
"""TIES: the part of each tensor's changes that is kept."""


def write_merged(
    runs_asked: list[str],
    runs: Path,
    output: Path | None,
    weights: str | None,
    by: str,
    density: float | None,
    as_json: bool,
) -> None:
    """Write the folder and print how it compares. Raises all that is wrong with what was typed at once."""
    problems: list[Problem] = []
    folders = []
    for run in runs_asked:
        try:
            folders.append(str(model_folder(run, runs)))
        except LauncherError as error:
            problems += error.problems
    problems += [
        Problem(f"{run} is given twice", do="give each run once; --weights says how much it counts")
        for run in dict.fromkeys(runs_asked)
        if runs_asked.count(run) > 1
    ]
    if len(runs_asked) == 1 and (weights is not None or by == "ties"):
        problems.append(Problem("--weights and --by are for several runs", do="leave them out, or name another run"))
    if density is not None and by != "ties":
        problems.append(Problem("--density is for --by ties", do="leave it out"))
    output = output or Path("-".join([*(Path(run).name for run in runs_asked), "merged"]))
    if output.exists() or output.is_symlink():
        problems.append(Problem(f"there is a {'folder' if output.is_dir() else 'file'} already", str(output), ELSE))
    if not output.resolve().parent.is_dir():
        problems.append(Problem("there is no such folder", str(output.resolve().parent), "make it first"))
    numbers = _weights(weights, by, len(runs_asked), problems)
    if problems:
        raise DataError(problems)
    how = {"weights": numbers, "by": by, "density": USUAL_DENSITY if density is None else density}
    if len(folders) > 1 and not as_json:
        print("each run's model and the merged one answer its test split", file=sys.stderr)
    request = {"models": folders, "output": str(output.resolve()), **how}
    told = heavy("merge", request)
    print_json(told) if as_json else print(_said(told))


def _weights(said: str | None, by: str, runs: int, problems: list[Problem]) -> list[float]:
    """As typed; else each run counts alike: together 1 where they are added up, each 1 for TIES, which takes means."""
    if said is None:
        return [1 / runs if by == "linear" else 1.0] * runs
    try:
        numbers = [float(number) for number in said.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != runs or not all(map(math.isfinite, numbers)) or sum(numbers) <= 0:
        what = f"--weights {said} is not a number for each of {runs} runs, with a sum above 0"
        problems.append(Problem(what, do=f"write {','.join([f'{1 / runs:.2g}'] * runs)}"))
    return numbers


def _said(told: dict[str, Any]) -> str:
    lines = [told["folder"]]
    if "scores" not in told:
        lines.append(f"largest difference of an output from the run's own: {told['largest_difference']:.1e}")
    for run, score in zip(told["runs"], told.get("scores", ()), strict=False):
        name = called(Path(run))
        if "why" in score:
            lines.append(f"on the test split of {name}: not looked at, {score['why']}")
        else:
            metric, own, merged = score["metric"], score["own"], score["merged"]
            lines.append(f"on the test split of {name}: {metric} {merged:.4f}, its own model {own:.4f}")
    return "\n".join([*lines, f'use it as a run: launcher predict {told["folder"]} "…"'])
