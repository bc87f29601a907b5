"""The folder that lists an array's runs, and the run of one task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from launcher.cluster.job_array import ArrayFolder, run_of, runs_named
from launcher.errors import BackendError
from launcher.json_files import write_json
from launcher.runs.run_folder import RunFolder


@pytest.fixture
def array(tmp_path: Path) -> ArrayFolder:
    """An array of three runs."""
    made = ArrayFolder(tmp_path / "sweep")
    made.path.mkdir()
    runs = [RunFolder(tmp_path / f"sweep-{number}") for number in range(3)]
    write_json(made.tasks, made.document(runs, 12))
    return made


def test_each_task_finds_its_run(array: ArrayFolder) -> None:
    assert [folder.name for folder in array.runs()] == ["sweep-0", "sweep-1", "sweep-2"]
    assert [run_of(array.path, str(task)) for task in range(3)] == array.runs()


def test_a_run_that_is_given_by_its_own_folder_is_that_run(array: ArrayFolder) -> None:
    run = array.runs()[1]
    assert run_of(run.path, "") == run
    assert run_of(run.path, "0") == run, "by hand, inside somebody's array"


@pytest.mark.parametrize(
    ("task", "said"), [("3", "this is task 3 of an array"), ("", "this is not a task of an array"), ("x", "task x")]
)
def test_a_task_that_the_list_lacks_is_refused(array: ArrayFolder, task: str, said: str) -> None:
    with pytest.raises(BackendError, match=said) as told:
        run_of(array.path, task)
    assert "the folder lists 3 runs" in str(told.value)
    assert "--array=0-2" in str(told.value)


def test_a_task_prints_into_its_runs_own_log(array: ArrayFolder) -> None:
    run = array.runs()[2]
    run.path.mkdir()
    words = [sys.executable, "-m", "launcher.jobs.batch", str(array.path)]
    done = subprocess.run(words, env={"SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (4, "", "")
    assert "there is no run in this folder" in run.scheduler_log.read_text()


def test_runs_are_meant_by_name_array_pattern_and_path(array: ArrayFolder) -> None:
    runs = array.path.parent
    for name in ("sweep-0", "sweep-1", "other"):
        (runs / name).mkdir()
        write_json(runs / name / "plan.json", {})

    def meant(*names: str) -> list[str]:
        return [folder.name for folder in runs_named(names, runs)]

    assert meant("sweep") == ["sweep-0", "sweep-1"], "the third has no plan"
    assert meant("sweep-*") == ["sweep-0", "sweep-1"]
    assert meant("other", "sweep-1", "sweep") == ["other", "sweep-1", "sweep-0"], "each once"
    assert meant(str(runs / "other")) == ["other"]
    assert meant() == []
    with pytest.raises(BackendError) as told:
        runs_named(["othr", "other", "x-*"], runs)
    assert [problem.what for problem in told.value.problems] == ["there is no run 'othr'", "there is no run 'x-*'"]
    assert "did you mean 'other'?" in told.value.problems[0].do
