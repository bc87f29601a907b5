"""Arguments and options that several verbs share."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import wrap
from typing import Annotated

import typer

from launcher.cli import completion

RecipePath = Annotated[
    Path,
    typer.Argument(
        metavar="RECIPE",
        help="A recipe module, e.g. recipes/reviews_zh.py.",
        autocompletion=completion.recipe_files,
    ),
]
RunName = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's name under --runs, or its path.", autocompletion=completion.runs),
]
RunOrArray = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Name of a run or an array under --runs, or a path.",
        autocompletion=completion.runs_and_arrays,
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one field, e.g. training.seed=1. Repeatable."),
]
FromRun = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="Begin with the model of this finished run (training.from_run).",
        autocompletion=completion.runs,
    ),
]
WithOptimiser = Annotated[
    bool,
    typer.Option("--with-optimiser", help="Continue it: its optimiser, schedule and order of rows go on, too."),
]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of all runs.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout and nothing else.")]
HangSeconds = Annotated[
    float,
    typer.Option(
        "--hang-seconds",
        min=1,
        metavar="N",
        help="A rank without progress for N seconds hangs; its attempt is repeated.",
    ),
]
Strategy = Annotated[str, typer.Option(help="auto, single, ddp, fsdp2, zero1, zero2, zero3 or zero3_offload.")]
Trackers = Annotated[
    list[str] | None,
    typer.Option(
        "--tracker",
        metavar="NAME",
        help="Tell mlflow, swanlab, trackio or wandb too, or a Python file of yours (CustomTracker). Repeatable.",
    ),
]
Detach = Annotated[bool, typer.Option("--detach", help="Go on in the background, also when you log out.")]


def examples(*lines: str) -> str:
    """The end of a verb's help: lines to type, which can be copied. What begins with a \\b click leaves as it is."""
    whole = (re.sub(r"(--[a-z-]+) (?=[^-])", "\\1\0", line) for line in lines)  # an option and its value stay together
    parts = (wrap(line, 72, break_on_hyphens=False, break_long_words=False) for line in whole)
    shown = [" \\\n      ".join(part).replace("\0", " ") for part in parts]
    return "\b\n" + "\n".join(["Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in shown)])
