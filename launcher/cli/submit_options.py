"""The options of `launcher submit`: what is requested of the cluster, and which runs are to become jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from launcher.cli import completion

Recipes = Annotated[
    list[Path],
    typer.Argument(
        metavar="RECIPE", help="Recipe modules; several with --array.", autocompletion=completion.recipe_files
    ),
]
Nodes = Annotated[int | None, typer.Option(min=1, help="Machines; default the profile's, or 1.")]
ProcessesPerNode = Annotated[
    int | None, typer.Option(min=1, help="Processes on each; default the profile's, or one a GPU.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Name = Annotated[str | None, typer.Option(help="Name of the run or array; default RECIPE-timestamp.")]
ProfileName = Annotated[str | None, typer.Option(help="A [profile.NAME] of launcher.toml; default `default`.")]
Partition = Annotated[str | None, typer.Option(help="Partition, or several with commas.")]
Account = Annotated[str | None, typer.Option(help="Account.")]
Qos = Annotated[str | None, typer.Option(help="Quality of service.")]
Time = Annotated[str | None, typer.Option(help="Limit: minutes, HH:MM:SS or D-HH:MM:SS.")]
Memory = Annotated[str | None, typer.Option(help="Memory of each node, e.g. 64G.")]
CpusPerProcess = Annotated[int | None, typer.Option(min=1, help="Cores of each process; default its share.")]
GpuType = Annotated[str | None, typer.Option(help="Type of GPU, as the cluster names it.")]
GpuMemory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Memory of a GPU, e.g. 80GB: Slurm does not report it.")
]
Constraint = Annotated[str | None, typer.Option(help="Features that nodes must have.")]
Reservation = Annotated[str | None, typer.Option(help="Reservation.")]
Exclude = Annotated[str | None, typer.Option(help="Hosts to avoid.")]
Exclusive = Annotated[
    bool | None, typer.Option("--exclusive/--shared", help="Whether no other job may use the nodes; default shared.")
]
After = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RUN",
        help="Start when that run or array is finished. Repeatable.",
        autocompletion=completion.runs_and_arrays,
    ),
]
Array = Annotated[bool, typer.Option("--array", help="Several runs as one job array: every RECIPE with every --each.")]
Each = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=V,V,…", help="A run for each value, e.g. training.seed=1,2. Repeatable: all pairs."),
]
AtOnce = Annotated[int | None, typer.Option(min=1, metavar="N", help="Tasks that run at a time; default all.")]
MaxRequeues = Annotated[int, typer.Option(min=0, help="Give up when Slurm put it back more often.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print sbatch's words, environment and script; submit nothing.")
]
