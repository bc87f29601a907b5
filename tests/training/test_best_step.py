"""The best step is one whose checkpoint is on disk: what could not be written is never relied on."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from launcher import Training
from launcher.runs.run_folder import RunFolder
from launcher.training.checkpoints import writer
from launcher.training.checkpoints.writer import Checkpoints
from launcher.training.distributed.world import World
from launcher.training.loop import Loop, LoopState
from launcher.training.strategies import Piece

WORLD = World(0, 0, 1, torch.device("cpu"))
ACCURACY = {1: 0.5, 2: 0.4, 3: 0.9, 4: 0.8, 5: 0.6}


class Observer:
    """Writes real checkpoints; the disk is full while that of `full_at` is written."""

    def __init__(self, checkpoints: Checkpoints, full_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checkpoints, self.full_at, self.monkeypatch = checkpoints, full_at, monkeypatch
        self.best: dict[int, int | None] = {}

    def evaluate(self, step: int, write: bool) -> dict[str, Any]:
        return {"accuracy": ACCURACY[step]}

    def save(self, state: LoopState) -> None:
        self.best[state.step] = state.best_step
        with self.monkeypatch.context() as patch:
            if state.step == self.full_at:
                patch.setattr(writer.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
            values = torch.full((4,), float(state.step))
            self.checkpoints.save(state.step, [Piece("model.x", (4,), 0, values)], {}, state.document())

    def kept(self, step: int) -> bool:
        return self.checkpoints.kept(step)


def test_a_best_step_that_could_not_be_written_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, notes = RunFolder(tmp_path), []
    run.new_attempt()
    checkpoints = Checkpoints(run, 1, WORLD, 2, notes.append)
    checkpoints.take_over()
    observer = Observer(checkpoints, 3, monkeypatch)
    training = Training(evaluate_every=1, checkpoint_every=1, select_by="accuracy", patience=None)
    plan: Any = SimpleNamespace(steps=9, steps_per_epoch=9)
    none: Any = None
    loop = Loop(plan, training, none, none, none, none, none, none, observer, "max", none, none)  # type: ignore[arg-type]
    for step in ACCURACY:
        loop.state.step = step
        loop._between_steps(stop=False)
    checkpoints.close()

    assert observer.best == {1: 1, 2: 1, 3: 3, 4: 4, 5: 4}  # 0.8 is better than the 0.5 that is on disk
    assert loop.state.best_metrics == {"accuracy": 0.8}
    assert [note for note in notes if "step 3 could not be written" in note] == notes
    assert f"Errno {errno.ENOSPC}" in notes[0]
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["step-00000004", "step-00000005"]

    run.new_attempt()
    manifest = Checkpoints(run, 2, WORLD, 2, notes.append).take_over()
    assert manifest is not None and (manifest["step"], manifest["state"]["best_step"]) == (5, 4)
    assert len(notes) == 1  # nothing was passed over
