"""`launcher verify`: every strategy on a slice of a recipe, as a table."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from launcher.cli.columns import WIDTH_OF_A_FILE, flowing, print_table, terminal_width
from launcher.cli.display import print_json
from launcher.errors import BackendError, Problem, WorkerError
from launcher.host.stop_requests import heed
from launcher.launch.request import Request
from launcher.launch.verify import LOSS_TOLERANCE, MODEL_TOLERANCE, Row, Verification, verify


def verify_recipe(
    request: Request, strategies: Sequence[str], processes: Sequence[int], steps: int, keep: Path | None, as_json: bool
) -> int:
    """Compare and print; 0 when all strategies that can run here agree, WorkerError's exit code when one does not."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        heed(number, signal.default_int_handler)  # as Ctrl-C: ranks end and the folder is taken away
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise BackendError(Problem("the folder to keep the runs in is not empty", str(keep), "name a new one"))
        verification = verify(replace(request, runs=keep), strategies, processes, steps, _say)
    else:
        with tempfile.TemporaryDirectory(prefix="launcher-verify-") as folder:
            verification = verify(replace(request, runs=Path(folder)), strategies, processes, steps, _say)
    problems = verification.problems()
    if as_json:
        print_json({**verification.document(), **(WorkerError(problems).document() if problems else {})})
    else:
        _print_table(verification)
    if problems:
        print(f"launcher: {WorkerError(problems)}", file=sys.stderr)
        return WorkerError.exit_code
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_table(verification: Verification) -> None:
    cells = [["strategy", "processes", "loss difference", "model difference", "model distance", "verdict"]]
    cells += [_cells(row) for row in verification.rows]
    print_table(cells, terminal_width())
    for row in verification.rows:
        if row.why:
            print(f"{row.name()}: {row.why}")
    loss, model = LOSS_TOLERANCE[verification.precision], MODEL_TOLERANCE[verification.precision]
    limits = f"losses may lie {loss:g} apart, models {model:g} of the way that training went"
    about = f"{verification.steps} steps in {verification.precision}; {limits}."
    about += " The model difference is that of a single weight, and not judged."
    print("", *flowing(about.split(" "), terminal_width() or WIDTH_OF_A_FILE, joint=" "), sep="\n")


def _cells(row: Row) -> list[str]:
    figures = [row.loss_difference, row.model_difference, row.model_distance]
    numbers = ["-" if figure is None else f"{figure:.1e}" for figure in figures]
    return [row.strategy, str(row.world_size), *numbers, row.verdict]
