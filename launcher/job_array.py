"""Several runs as the tasks of one job array: the folder that lists them, and finding a task's run again.

runs/<name>/
  array.json        the runs' folders; task N of the array is the N-th, counted from 0
  setup.sh          the site's set-up file, as each run has it too
  slurm-N.log       what task N printed before it knew its run (then it goes on in the run's slurm.log)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, Problem
from launcher.rundir import RunFolder, read_json

TASK = "SLURM_ARRAY_TASK_ID"


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
        """Its runs, in the order of its tasks; none where it is no array."""
        told = read_json(self.tasks) or {"runs": []}
        return [RunFolder(Path(path)) for path in told["runs"]]

    def document(self, runs: list[RunFolder], job: int | None) -> dict[str, Any]:
        """What array.json says."""
        return {"runs": [str(run.path) for run in runs], "job": job}


def run_of(path: Path, environment: Mapping[str, str]) -> RunFolder:
    """The run that a job is for which was given that folder. Raises BackendError for a task that the list lacks."""
    array = ArrayFolder(path)
    if not array.tasks.is_file():
        return RunFolder(path)
    runs, task = array.runs(), environment.get(TASK, "")
    if not task.isdigit() or int(task) >= len(runs):
        what = f"this is task {task} of an array" if task else "this is no task of an array"
        do = f"give sbatch --array=0-{len(runs) - 1}, or the folder of one of the runs"
        raise BackendError(Problem(f"{what}, and the folder lists {len(runs)} runs", str(array.tasks), do))
    return runs[int(task)]
