"""What of a checkpoint is damage besides its bytes: another version's, another folder's, what fits no model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from launcher.runs.run_folder import RunFolder
from launcher.runs.seals import write_sealed
from launcher.training.checkpoints.reader import inspect, manifest_of
from launcher.training.checkpoints.writer import Checkpoints
from launcher.training.distributed.world import World
from launcher.training.loop import LoopState
from launcher.training.resuming import misfit
from launcher.training.strategies import Piece

ALONE = World(0, 0, 1, torch.device("cpu"))
STATE = {**LoopState(step=20).document(), "schedule": 20, "loss_scale": {}}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Two checkpoints of one attempt, at steps 10 and 20."""
    folder = RunFolder(tmp_path)
    checkpoints = Checkpoints(folder, folder.new_attempt().number, ALONE, 2, lambda note: None)
    checkpoints.take_over()
    for step in (10, 20):
        piece = Piece("model.weight", (3,), 0, torch.ones(3))
        checkpoints.save(step, [piece], {"generator": torch.ones(4)}, {**STATE, "step": step, "schedule": step})
        checkpoints.wait()
    return folder


def taken_over(run: RunFolder, fits: Callable[[dict[str, Any]], str] = lambda manifest: "") -> tuple[Any, list[str]]:
    said: list[str] = []
    manifest = Checkpoints(run, run.new_attempt().number, ALONE, 2, said.append).take_over(fits)
    return manifest and manifest["step"], said


def sealed_anew(path: Path, **changes: Any) -> None:
    """The manifest with other values and a seal that fits them, as another version may have written it."""
    write_sealed(path / "manifest.json", {**manifest_of(path), **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"step": 10}, "does not fit"),
        ({"format": 4}, "another version"),
        ({"state": None}, "does not fit"),
        ({"files": {"../step-00000010/rank-0.safetensors": {}}}, "does not fit"),
        ({"files": {}}, "cannot be read from its files"),
        ({"tensors": {"model.weight": {"shape": [3], "dtype": "fdoat32"}}}, "model.weight"),
        ({"tensors": {"model.weight": {"shape": [3], "dtype": "load"}}}, "model.weight"),
        ({"tensors": {"model.weight": {"shape": [4], "dtype": "float32"}}}, "model.weight"),
        ({"tensors": {"model.height": {"shape": [3], "dtype": "float32"}}}, "model.height"),
        ({"tensors": {"model.weight": None}}, "cannot be opened"),
    ],
)
def test_what_cannot_be_restored_is_damage_and_the_one_before_is_taken(
    run: RunFolder, changes: dict[str, Any], told: str
) -> None:
    sealed_anew(run.attempt(1).checkpoint(20), **changes)
    step, said = taken_over(run)
    assert step == 10
    assert len(said) == 1 and said[0].startswith("checkpoint step-00000020 is damaged and passed over: ")
    assert told in said[0]


def test_a_folder_of_another_name_is_no_checkpoint_of_that_step(run: RunFolder) -> None:
    run.attempt(1).checkpoint(20).rename(run.attempt(1).checkpoint(30))
    step, said = taken_over(run)
    assert step == 10 and "step-00000030 is damaged" in said[0]


def test_where_none_is_whole_the_run_begins_anew_and_says_so(run: RunFolder) -> None:
    for step in (10, 20):
        (run.attempt(1).checkpoint(step) / "manifest.json").write_bytes(b"")
    step, said = taken_over(run)
    assert step is None
    assert len(said) == 3 and said[-1] == "no checkpoint is whole: the run begins anew"


def test_a_checkpoint_of_before_there_were_seals_is_still_gone_on_from(run: RunFolder) -> None:
    path = run.attempt(1).checkpoint(20) / "manifest.json"
    told = {**json.loads(path.read_text()), "format": 2}
    path.write_text(json.dumps({name: value for name, value in told.items() if name != "seal"}))
    assert taken_over(run) == (20, [])
    path = run.attempts()[-1].checkpoint(20) / "manifest.json"
    path.write_text(json.dumps(told))
    assert "not as it was written" in inspect(path.parent)[1], "a seal that is there must fit"


def test_a_whole_one_that_does_not_fit_the_run_is_passed_over(run: RunFolder) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    strategy: Any = SimpleNamespace(model=None, trainable=lambda: [("weight", weight, weight.shape)])
    method: Any = SimpleNamespace(state=lambda model: {"steps": torch.zeros(2)})
    assert misfit(manifest_of(run.attempt(1).checkpoint(20)), strategy, method) == ""
    sealed_anew(run.attempt(1).checkpoint(20), state={"step": 20, "epoch": 1})
    step, said = taken_over(run, lambda manifest: misfit(manifest, strategy, method))
    assert step == 10 and "another version's" in said[0]
    strategy.trainable = lambda: [("weight", weight, torch.Size([1, 3]))]
    step, said = taken_over(run, lambda manifest: misfit(manifest, strategy, method))
    assert step is None and "holds no weight of [1, 3]" in said[0]


def test_what_a_method_keeps_must_have_the_shape_that_it_has_now(run: RunFolder) -> None:
    strategy: Any = SimpleNamespace(model=None, trainable=lambda: [])
    manifest = manifest_of(run.attempt(1).checkpoint(20))
    for shape, told in (([2], ""), ([3], "what the method keeps, steps, has another shape in it")):
        manifest["tensors"]["method.steps"] = {"shape": shape, "dtype": "float32"}
        method: Any = SimpleNamespace(state=lambda model: {"steps": torch.zeros(2)})
        assert misfit(manifest, strategy, method) == told
