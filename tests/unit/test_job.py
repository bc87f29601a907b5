"""What the driver of a job refuses before it asks for any machine."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from launcher import job, rundir
from launcher import plan as planning
from launcher.backends import local, slurm
from launcher.errors import BackendError
from launcher.recipe import LoadedRecipe
from launcher.rundir import RunFolder, read_json, write_json
from launcher.scheduler import Scheduler, ThisJob
from launcher.spec.placement import Facts, Placement


@pytest.fixture
def folder(tmp_path: Path, loaded: LoadedRecipe) -> RunFolder:
    """A run whose job may be put back twice."""
    made = RunFolder(tmp_path / "a")
    made.path.mkdir()
    facts, prepared = Facts(cores=8, memory_bytes=1 << 34), {"folder": str(tmp_path), "rows": {"train": 100}}
    plan = planning.make(loaded, facts, Placement(processes=2, device="cpu"), prepared, local.versions())
    write_json(made.plan, plan.document())
    write_json(made.job, {"max_requeues": 2})
    return made


def test_a_job_that_was_put_back_too_often_gives_up(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "hosts", lambda: ("node1",))
    with pytest.raises(BackendError, match="the job was put back 3 times, which is more than 2") as told:
        job.drive(folder, (cast(Scheduler, slurm), ThisJob(7, restarts=3)))
    assert "see slurm.log for why" in told.value.problems[0].do
    outcome = read_json(folder.outcome)
    assert (outcome["status"], outcome["problems"][0]["what"]) == ("failed", told.value.problems[0].what)
    assert rundir.lease_holder(folder) is None
    assert read_json(folder.job) == {"max_requeues": 2, "job": 7}, "by hand it is another job than was submitted"


def test_outside_of_a_job_it_says_where_it_belongs(folder: RunFolder) -> None:
    with pytest.raises(BackendError, match="no part of a job") as told:
        job.drive(folder, None)
    assert "sbatch slurm/train.sbatch" in told.value.problems[0].do
    assert folder.attempts() == []
