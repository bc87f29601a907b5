"""Several attempts at one run: what counts is taken over, and what a stale one still writes counts for nobody."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from launcher.runs.publishing import refuse_taken_over
from launcher.runs.run_folder import RunFolder
from launcher.training.checkpoints import writer
from launcher.training.checkpoints.writer import Checkpoints
from launcher.training.distributed.world import World
from launcher.training.report import report
from launcher.training.report.report import Report
from launcher.training.strategies import Piece

ALONE = World(0, 0, 1, torch.device("cpu"))


class Attempt:
    """One attempt that commits checkpoints whose only value is its own number."""

    def __init__(self, run: RunFolder, keep: int = 2):
        self.folder, self.said = run.new_attempt(), []
        self.checkpoints = Checkpoints(run, self.folder.number, ALONE, keep, self.said.append)

    def take_over(self) -> tuple[int, int] | None:
        """Attempt and step that it goes on from."""
        manifest = self.checkpoints.take_over()
        told = json.loads(self.folder.origin.read_text())["continues"]
        if manifest is None:
            assert told is None
            return None
        assert told == {"attempt": manifest["attempt"], "step": manifest["step"]}
        return manifest["attempt"], manifest["step"]

    def save(self, *steps: int, best: int | None = None) -> None:
        for step in steps:
            piece = Piece("weight", (3,), 0, torch.full((3,), float(self.folder.number)))
            self.checkpoints.save(step, [piece], {}, {"best_step": best})
            self.checkpoints.wait()

    def steps(self) -> list[int]:
        return self.folder.checkpoint_steps()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def everywhere(run: RunFolder) -> list[str]:
    return sorted(str(path.relative_to(run.path / "attempts")) for path in run.path.glob("attempts/*/checkpoints/*"))


def damage(path: Path) -> None:
    file = path / "rank-0.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system on which an attempt does not see that another has begun."""
    monkeypatch.setattr(writer, "refuse_taken_over", lambda run, number: None)


def test_what_counts_is_moved_and_pruned_as_in_one_attempt(run: RunFolder) -> None:
    first = Attempt(run)
    assert first.take_over() is None
    first.save(10, 20, 30, 40, best=20)
    assert first.steps() == [20, 30, 40]
    second = Attempt(run)
    assert second.take_over() == (1, 40)
    assert everywhere(run) == [f"2/checkpoints/step-000000{step}" for step in (20, 30, 40)]
    second.save(50, best=20)
    assert everywhere(run) == [f"2/checkpoints/step-000000{step}" for step in (20, 40, 50)]
    third = Attempt(run)
    assert third.take_over() == (2, 50)
    assert {step for step in range(100) if run.lineage().holds(1, step)} == set(range(41))
    assert {step for step in range(100) if run.lineage().holds(2, step)} == set(range(51))


def test_an_attempt_that_dies_before_it_saves_loses_nothing(run: RunFolder) -> None:
    first = Attempt(run)
    first.take_over()
    first.save(10)
    for _ in range(3):
        assert Attempt(run).take_over() == (1, 10)
    Attempt(run)  # this one dies before it has said anything
    assert Attempt(run).take_over() == (1, 10)


def test_what_a_stale_attempt_still_commits_counts_for_nobody(run: RunFolder, blind: None) -> None:
    stale = Attempt(run)
    stale.take_over()
    stale.save(10)
    newest = Attempt(run)
    assert newest.take_over() == (1, 10)
    stale.save(20, 30)  # its own pruning does not reach what was taken over
    assert newest.steps() == [10] and stale.steps() == [20, 30]
    after = Attempt(run)
    assert after.take_over() == (1, 10), "not 30, the newest by number"
    stale.save(40)
    after.save(15)
    assert everywhere(run) == ["3/checkpoints/step-00000010", "3/checkpoints/step-00000015"]
    saved = after.checkpoints.open(15).read("weight", 0, 3)
    assert saved is not None and saved.tolist() == [3.0, 3.0, 3.0]


def test_one_that_sees_that_it_is_taken_over_commits_nothing(run: RunFolder) -> None:
    stale = Attempt(run)
    stale.take_over()
    newest = Attempt(run)
    newest.take_over()
    stale.save(10)
    assert "attempt 2 has taken over" in stale.said[0]
    assert everywhere(run) == []
    assert writer.refuse_taken_over is refuse_taken_over


def test_a_move_that_was_cut_short_is_finished_by_the_next(run: RunFolder) -> None:
    first = Attempt(run)
    first.take_over()
    first.save(10, 20)
    halfway = Attempt(run)
    halfway.folder.checkpoints.mkdir()
    first.folder.checkpoint(20).rename(halfway.folder.checkpoint(20))
    next_one = Attempt(run)
    assert next_one.take_over() == (1, 20)
    assert next_one.steps() == [10, 20]


def test_damage_is_passed_over_across_attempts(run: RunFolder) -> None:
    first = Attempt(run)
    first.take_over()
    first.save(10, 20)
    second = Attempt(run)
    second.take_over()
    second.save(30)
    damage(second.folder.checkpoint(30))
    third = Attempt(run, keep=1)
    assert third.take_over() == (1, 20)
    assert third.said == [
        "checkpoint step-00000030 is damaged and passed over: rank-0.safetensors is not as it was written"
    ]
    third.save(25)
    assert everywhere(run) == ["3/checkpoints/step-00000025"], "the damaged one beyond it is not what is kept"


def test_tensorboard_hides_what_an_attempt_did_beyond_where_it_was_left(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr(report, "refuse_taken_over", lambda run, number: None)
    numbers = {"learning_rate": 0.1, "gradient_norm": 1.0, "examples_per_second": 1.0, "epoch": 0.1}
    first = Report(run, run.new_attempt().number, 0, 9, "")
    for step in (1, 2, 3, 4):
        first.logged(step, {"loss": 1.0, **numbers})
    while not any(run.tensorboard.glob("events.*")):  # a thread makes it
        time.sleep(0.05)
    time.sleep(1.1)  # files of events are read in the order of the seconds in their names
    second = Report(run, run.new_attempt().number, 0, 9, "")
    second.begins_after = 2
    for step in (3, 4, 5):
        second.logged(step, {"loss": 2.0, **numbers})
    first.logged(6, {"loss": 1.0, **numbers})  # it does not know
    for one in (first, second):
        one.close()
    shown = EventAccumulator(str(run.tensorboard)).Reload().Scalars("train/loss")
    assert [(event.step, event.value) for event in shown] == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0)]
