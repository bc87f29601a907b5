"""`launcher resume` of a run that several machines shared without a scheduler."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher import plan as planning
from launcher.backends import local
from launcher.cli.control import resume_run
from launcher.errors import BackendError
from launcher.recipe import LoadedRecipe
from launcher.rundir import RunFolder, write_json
from launcher.spec.placement import Facts, Placement


def test_the_line_to_type_on_each_machine_is_told(tmp_path: Path, loaded: LoadedRecipe) -> None:
    folder = RunFolder(tmp_path / "b")
    folder.path.mkdir()
    facts, prepared = Facts(cores=8, memory_bytes=1 << 34), {"folder": str(tmp_path), "rows": {"train": 100}}
    placement = Placement(processes=2, nodes=2, strategy="ddp", device="cpu")
    plan = planning.make(loaded, facts, placement, prepared, local.versions())
    write_json(folder.plan, plan.document())
    write_json(folder.outcome, {"status": "stopped", "steps": 3})
    with pytest.raises(BackendError) as told:
        resume_run("b", tmp_path, as_json=False)
    (problem,) = told.value.problems
    assert problem.what == "run b is shared by 2 machines, without a scheduler"
    line = problem.do.partition("HOST: ")[2]
    expected = "--name b --resume --machines 2 --machine-rank K --head HOST:PORT --processes 2 --strategy ddp"
    assert line == f"launcher run {plan.recipe} {expected} --device cpu --runs {tmp_path}"
    assert folder.attempts() == []
