"""What the driver of a job refuses before it asks for any machine."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from launcher.cluster import scheduler, slurm
from launcher.cluster.scheduler import Number, Scheduler, ThisJob
from launcher.errors import BackendError, Problem, WorkerError
from launcher.host import machine_facts
from launcher.host.facts import Facts
from launcher.jobs import batch
from launcher.json_files import write_json
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.recipe.recipe import LoadedRecipe
from launcher.runs import driver
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path, loaded: LoadedRecipe) -> RunFolder:
    """A run whose job may be put back twice."""
    made = RunFolder(tmp_path / "a")
    made.path.mkdir()
    facts, prepared = Facts(cores=8, memory_bytes=1 << 34), {"folder": str(tmp_path), "rows": {"train": 100}}
    plan = planning.make(loaded, facts, Placement(processes=2, device="cpu"), prepared, machine_facts.versions())
    write_json(made.plan, plan.document())
    write_json(made.job, {"max_requeues": 2})
    return made


def test_a_job_that_was_put_back_too_often_gives_up(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "hosts", lambda: ("node1",))
    with pytest.raises(BackendError, match="the job was put back 3 times, which is more than 2") as told:
        batch.drive(folder, (cast(Scheduler, slurm), ThisJob(7, restarts=3)))
    assert "see slurm.log for why" in told.value.problems[0].do
    outcome = read_json(folder.outcome)
    assert (outcome["status"], outcome["problems"][0]["what"]) == ("failed", told.value.problems[0].what)
    assert driver.lease_holder(folder) is None
    assert read_json(folder.job) == {"max_requeues": 2, "job": 7}, "by hand it is another job than was submitted"


def test_outside_of_a_job_it_says_where_it_belongs(folder: RunFolder) -> None:
    with pytest.raises(BackendError, match="not part of a job") as told:
        batch.drive(folder, None)
    assert "sbatch slurm/train.sbatch" in told.value.problems[0].do
    assert folder.attempts() == []


@pytest.mark.parametrize(
    ("signals", "count", "warned"),
    [
        ((signal.SIGTERM,), 1, False),
        ((signal.SIGTERM, signal.SIGTERM), 2, False),
        ((signal.SIGUSR1,), 1, True),
        ((signal.SIGUSR1, signal.SIGTERM), 1, True),
        ((signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM), 2, True),
        ((signal.SIGTERM, signal.SIGUSR1), 1, True),
        ((signal.SIGUSR1, signal.SIGUSR1), 1, True),
    ],
    ids=lambda value: "-".join(one.name for one in value) if isinstance(value, tuple) else None,
)
def test_the_end_of_a_grace_does_not_break_off_what_is_being_saved(
    signals: tuple[signal.Signals, ...], count: int, warned: bool
) -> None:
    stop = batch.Warned()
    for number in signals:
        stop._heard(number, None)
    assert (stop(), stop.warned) == (count, warned)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before a scheduler is asked again."""
    monkeypatch.setattr(scheduler, "PAUSE", 0)


class Unwilling:
    """A scheduler that refuses to put a job back so many times."""

    def __init__(self, refusals: int, by_itself: bool | None = False):
        self.refusals, self.by_itself, self.asked = refusals, by_itself, 0

    def requeue(self, number: Number) -> None:
        self.asked += 1
        if self.asked <= self.refusals:
            raise BackendError(Problem("scontrol refused: it reads its settings"))

    def preempted(self, number: Number) -> bool:
        self.requeue(number)
        return True

    def begins_again(self, number: Number) -> bool:
        if self.by_itself is None:
            raise BackendError(Problem("no answer"))
        return self.by_itself


@pytest.mark.parametrize(
    ("refusals", "by_itself", "asked"),
    [(0, False, 1), (3, False, 4), (3, None, 4), (99, True, 1)],
    ids=["willing", "busy for a while", "silent for a while", "it happens by itself"],
)
def test_a_scheduler_that_is_busy_is_asked_again(refusals: int, by_itself: bool | None, asked: int) -> None:
    unwilling = Unwilling(refusals, by_itself)
    batch._put_back("a machine was lost", (cast(Scheduler, unwilling), ThisJob(7, restarts=0)))
    assert unwilling.asked == asked


def test_one_that_goes_on_refusing_is_told_beside_what_was_lost() -> None:
    unwilling, lost = Unwilling(99), WorkerError(Problem("node2 ended without a word"))
    with pytest.raises(WorkerError) as told:
        batch._put_back("a machine was lost", (cast(Scheduler, unwilling), ThisJob(7, restarts=0)), lost)
    assert unwilling.asked == scheduler.TRIES
    assert [problem.what.split(":")[0] for problem in told.value.problems] == [
        "node2 ended without a word",
        "scontrol refused",
    ]


@pytest.mark.parametrize(("refusals", "told"), [(0, True), (scheduler.TRIES - 1, True), (scheduler.TRIES, False)])
def test_whether_a_stopped_job_was_preempted_is_asked_again_too(refusals: int, told: bool) -> None:
    """Without the answer a run that has saved would not be put back."""
    assert batch._preempted(cast(Scheduler, Unwilling(refusals)), 7) is told


def test_a_job_that_cannot_learn_its_machines_at_once_asks_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([BackendError(Problem("no answer")), BackendError(Problem("no answer")), ("node1",)])

    def hosts() -> tuple[str, ...]:
        answer = next(answers)
        if isinstance(answer, BackendError):
            raise answer
        return answer

    monkeypatch.setattr(slurm, "hosts", hosts)
    with pytest.raises(BackendError, match="put back 3 times"):  # the next gate
        batch.drive(folder, (cast(Scheduler, slurm), ThisJob(7, restarts=3)))
    assert next(answers, None) is None


@pytest.mark.parametrize("name", ["launcher.jobs.batch", "launcher.job"])
def test_a_driver_starts_by_its_name_and_by_that_of_the_version_before(name: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", name, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == BackendError.exit_code and "Traceback" not in done.stderr
    assert done.stderr.startswith("launcher: ") and str(tmp_path) in done.stderr
