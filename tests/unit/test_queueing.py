"""How a run's job stands, in words, and what is refused while it lives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launcher import queueing
from launcher.backends import slurm
from launcher.backends.slurm import Queued
from launcher.errors import BackendError
from launcher.rundir import RunFolder, read_json, write_json


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
        ("TIMEOUT", "TimeLimit", "TIMEOUT", ""),
    ],
)
def test_each_state_is_told_in_words(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, state: str, reason: str, expected: str, why: str
) -> None:
    says(monkeypatch, Queued(7, state, reason, 1, "node[1-2]"))
    found = queueing.standing(folder)
    assert found is not None
    assert (found.state, found.alive) == (expected, expected in ("pending", "running"))
    assert why in found.why
    assert bool(found.why) == bool(why)


def test_a_run_without_a_job_or_with_one_that_is_forgotten_stands_nowhere(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, None)
    assert queueing.standing(folder) is None
    says(monkeypatch, BackendError([]))
    assert queueing.standing(folder) is None, "a controller that does not answer must not hide the run's own story"
    write_json(folder.job, {"job": None})
    assert queueing.standing(folder) is None
    folder.job.unlink()
    assert queueing.standing(folder) is None
    queueing.refuse_queued(folder)


def test_a_living_job_is_neither_replaced_nor_submitted_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, Queued(7, "PENDING", "Priority", 0, ""))
    for act in (queueing.refuse_queued, queueing.submit_again):
        with pytest.raises(BackendError, match="is job 7 of Slurm, which is pending"):
            act(folder)


def test_submitting_again_uses_the_options_it_had_and_they_are_judged_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    says(monkeypatch, Queued(7, "CANCELLED", "", 0, ""))
    monkeypatch.setattr(slurm, "submit", lambda words, environment: given.append(words) or 8)
    assert queueing.submit_again(folder) == 8
    assert read_json(folder.job)["job"] == 8
    assert "--nodes=2" in given[0]
    assert "--signal=B:USR1@120" in given[0]
    assert given[0][-1] == str(folder.path)
    write_json(folder.job, {"job": 7, "options": {"name": "a", "partition": "x --wrap=y"}})
    with pytest.raises(BackendError, match=r"job\.json cannot be used: Job\.partition"):
        queueing.submit_again(folder)
