"""Several runs as the tasks of one job array: the folder that lists them, and finding a task's run again.

runs/<name>/
  array.json        the runs' folders; task N of the array is the N-th, counted from 0
  setup.sh          the site's set-up file, as each run has it too
  slurm-N.log       what task N printed before it knew its run (then it goes on in the run's slurm.log)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, Problem
from launcher.runs import run_folder
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder


@dataclass(frozen=True)
class ArrayFolder:
    """The folder of one array. Opening it creates nothing."""

    path: Path

    @property
    def name(self) -> str:
        """The array's name."""
        return self.path.name

    @property
    def tasks(self) -> Path:
        """Which runs it has."""
        return self.path / "array.json"

    @property
    def setup(self) -> Path:
        """The site's set-up file, as it was when the array was submitted."""
        return self.path / "setup.sh"

    def runs(self) -> list[RunFolder]:
        """Its runs, in the order of its tasks; none where it is not an array."""
        listed = read_json(self.tasks) or {"runs": []}
        return [RunFolder(Path(path)) for path in listed["runs"]]

    def document(self, runs: list[RunFolder], job: int | None) -> dict[str, Any]:
        """The contents of array.json."""
        return {"runs": [str(run.path) for run in runs], "job": job}


def runs_named(names: Sequence[str], runs: Path) -> list[RunFolder]:
    """The runs that these names of runs and arrays, paths, and patterns like `sweep-*` refer to; each once.

    Raises BackendError with all names that match no run.
    """
    chosen: dict[Path, RunFolder] = {}
    problems: list[Problem] = []
    for name in names:
        listed = [run for run in ArrayFolder((runs / name).resolve()).runs() if run.plan.is_file()]
        if not listed and any(mark in name for mark in "*?["):
            listed = [run for run in run_folder.all_runs(runs) if fnmatchcase(run.name, name)]
        try:
            listed = listed or [run_folder.find(name, runs)]
        except BackendError as error:
            problems += error.problems
        chosen |= {run.path: run for run in listed}
    if problems:
        raise BackendError(problems)
    return list(chosen.values())


def run_of(path: Path, task: str) -> RunFolder:
    """The run that a job is for: `path` is the folder it was given, `task` its task of an array ("" for none).

    Raises BackendError for a task that the list lacks.
    """
    array = ArrayFolder(path)
    if not array.tasks.is_file():
        return RunFolder(path)
    runs = array.runs()
    if not task.isdigit() or int(task) >= len(runs):
        what = f"this is task {task} of an array" if task else "this is not a task of an array"
        do = f"give sbatch --array=0-{len(runs) - 1}, or the folder of one of the runs"
        raise BackendError(Problem(f"{what}, and the folder lists {len(runs)} runs", str(array.tasks), do))
    return runs[int(task)]
