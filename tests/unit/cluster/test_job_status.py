"""How a run's job stands, in words, and what is refused while it lives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launcher.cluster import job_status, slurm
from launcher.cluster.scheduler import Queued
from launcher.errors import BackendError, Problem
from launcher.json_files import write_json
from launcher.runs import driver
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run whose job is number 7."""
    made = RunFolder(tmp_path / "a")
    made.path.mkdir()
    write_json(made.job, {"job": 7, "options": {"name": "a", "nodes": 2, "signal": "B:USR1@120"}})
    return made


def says(monkeypatch: pytest.MonkeyPatch, answer: Queued | BackendError | None) -> None:
    def look_up(number: int) -> Queued | None:
        assert number == 7
        if isinstance(answer, BackendError):
            raise answer
        return answer

    monkeypatch.setattr(slurm, "look_up", look_up)


@pytest.mark.parametrize(
    ("state", "reason", "expected", "why"),
    [
        ("PENDING", "Priority", "pending", "other jobs go first (Priority)"),
        ("PENDING", "Resources", "pending", "waits for nodes to become free (Resources)"),
        ("PENDING", "QOSMaxJobsPerUserLimit", "pending", "a limit of its QOS is reached"),
        ("PENDING", "DependencyNeverSatisfied", "pending", "it will never start (DependencyNeverSatisfied)"),
        ("PENDING", "SomethingNew", "pending", "SomethingNew"),
        ("PENDING", "", "pending", ""),
        ("REQUEUED", "BeginTime", "pending", "waits for its time to begin"),
        ("RUNNING", "", "running", ""),
        ("COMPLETING", "", "running", ""),
        ("COMPLETED", "", "COMPLETED", ""),
        ("TIMEOUT", "TimeLimit", "TIMEOUT", "its time was over"),
        ("NODE_FAIL", "", "NODE_FAIL", "one of its nodes failed"),
        ("CANCELLED", "DependencyNeverSatisfied", "CANCELLED", "a job it depends on did not finish, so it was never"),
    ],
)
def test_each_state_is_told_in_words(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, state: str, reason: str, expected: str, why: str
) -> None:
    says(monkeypatch, Queued(7, state, reason, 1, "node[1-2]"))
    found = job_status.standing(folder)
    assert found is not None
    assert (found.state, found.alive) == (expected, expected in ("pending", "running"))
    assert why in found.why
    assert bool(found.why) == bool(why)


def test_a_run_without_a_job_or_with_one_that_is_forgotten_stands_nowhere(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, None)
    assert job_status.standing(folder) is None
    says(monkeypatch, BackendError([]))
    assert job_status.standing(folder) is None, "a controller that does not answer must not hide the run's own story"
    write_json(folder.job, {"job": None})
    assert job_status.standing(folder) is None
    folder.job.unlink()
    assert job_status.standing(folder) is None
    job_status.refuse_queued(folder)


@pytest.mark.parametrize(
    ("state", "reason", "why"),
    [
        ("PENDING", "Dependency", "waits for first, second (Dependency)"),
        ("CANCELLED", "DependencyNeverSatisfied", "first, second did not finish, so it was never started"),
        ("PENDING", "Priority", "other jobs go first (Priority)"),
    ],
)
def test_what_a_run_comes_after_is_told_by_name(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, state: str, reason: str, why: str
) -> None:
    write_json(folder.job, {"job": 7, "after": ["/runs/first", "/runs/second"]})
    says(monkeypatch, Queued(7, state, reason, 0, ""))
    found = job_status.standing(folder)
    assert found is not None
    assert found.why.startswith(why)


def test_many_runs_are_looked_up_by_one_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [RunFolder(tmp_path / name) for name in "abcd"]
    for folder, job in zip(folders, (7, "8_1", None, 9), strict=True):
        folder.path.mkdir()
        write_json(folder.job, {"job": job})
    asked: list[Any] = []
    answer = {7: Queued(7, "RUNNING", "", 0, "node1"), "8_1": Queued("8_1", "PENDING", "Resources", 0, "")}
    monkeypatch.setattr(slurm, "look_up_all", lambda numbers: asked.append(numbers) or answer)
    found = job_status.standings([*folders, RunFolder(tmp_path / "e")])
    assert asked == [[7, "8_1", 9]]
    assert {path.name: (told.job, told.state) for path, told in found.items()} == {
        "a": (7, "running"),
        "b": ("8_1", "pending"),
    }


def test_a_run_waits_for_jobs_and_not_for_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, waiting, task, failed, lost = [RunFolder(tmp_path / n) for n in ("done", "waiting", "task", "failed", "lost")]
    jobs = {waiting: 7, task: "8_1", failed: 9, lost: None}
    for folder in (done, *jobs):
        folder.path.mkdir()
        if folder in jobs:
            write_json(folder.job, {"job": jobs[folder]})
    write_json(done.outcome, {"status": "finished"})
    write_json(failed.outcome, {"status": "failed"})
    states = {7: "PENDING", "8_1": "RUNNING", 9: "FAILED"}
    monkeypatch.setattr(slurm, "look_up", lambda number: Queued(number, states[number], "", 0, ""))
    assert job_status.dependency([]) is None
    assert job_status.dependency([done]) is None
    assert job_status.dependency([done, waiting, task]) == "afterok:7:8_1"
    with pytest.raises(BackendError) as told:
        job_status.dependency([failed, waiting, lost])
    assert [(problem.what, problem.do) for problem in told.value.problems] == [
        (f"run {name} has ended ({how}): what comes after it would never start",
         f"first go on with it: launcher resume {name}")
        for name, how in (("failed", "failed"), ("lost", "died"))
    ]  # fmt: skip
    driver.take_lease(lost)
    with pytest.raises(BackendError, match="run lost is not a job: no job can wait for it"):
        job_status.dependency([lost])


def test_a_living_job_is_neither_replaced_nor_submitted_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, Queued(7, "PENDING", "Priority", 0, ""))
    for act in (job_status.refuse_queued, job_status.submit_again):
        with pytest.raises(BackendError, match="is job 7 of Slurm, which is pending"):
            act(folder)


def test_submitting_again_uses_the_options_it_had_and_they_are_judged_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    says(monkeypatch, Queued(7, "CANCELLED", "", 0, ""))
    monkeypatch.setattr(slurm, "submit", lambda words, environment: given.append(words) or 8)
    assert job_status.submit_again(folder) == 8
    assert read_json(folder.job)["job"] == 8
    assert "--nodes=2" in given[0]
    assert "--signal=B:USR1@120" in given[0]
    assert given[0][-1] == str(folder.path)
    assert not any("depend" in word for word in given[0])
    first = RunFolder(folder.path.parent / "first")
    first.path.mkdir()
    write_json(first.job, {"job": 7})
    write_json(folder.job, {**read_json(folder.job), "job": 6, "after": [str(first.path)]})
    found = {7: Queued(7, "RUNNING", "", 0, ""), 6: Queued(6, "CANCELLED", "", 0, "")}
    monkeypatch.setattr(slurm, "look_up", found.get)
    job_status.submit_again(folder)
    assert given[1][-4:-2] == ["--signal=B:USR1@120", "--kill-on-invalid-dep=yes"]
    assert "--dependency=afterok:7" in given[1], "what it was to follow still runs"
    write_json(folder.job, {"job": 6, "options": {"name": "a", "partition": "x --wrap=y"}})
    with pytest.raises(BackendError, match=r"job\.json cannot be used: Job\.partition"):
        job_status.submit_again(folder)


def test_nothing_is_done_to_a_run_whose_job_may_be_at_work_for_all_that_is_known(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, BackendError(Problem("scontrol gave no answer in 60 s")))
    monkeypatch.setattr(slurm, "there", lambda: True)
    monkeypatch.setattr(slurm, "submit", lambda words, environment: pytest.fail("submitted twice"))
    acts = (
        job_status.refuse_queued,
        job_status.submit_again,
        job_status.cancel,
        lambda run: job_status.dependency([run]),
    )
    for act in acts:
        with pytest.raises(BackendError, match="no answer in 60 s"):
            act(folder)
    monkeypatch.setattr(slurm, "there", lambda: False)
    job_status.refuse_queued(folder)  # a folder that was taken away from its cluster
