"""What a checkpoint holds of a run, and resuming from the newest one that is whole and fits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from launcher.ancestor import ancestor
from launcher.errors import Problem, WorkerError
from launcher.recipe.training import Training
from launcher.training.checkpoints.writer import Checkpoints
from launcher.training.loop import Loop, LoopState
from launcher.training.methods import MethodWork
from launcher.training.report.report import Report
from launcher.training.strategies import Piece, Read, Strategy

METHOD, ROWS = "method.", "rows."
"""Prefixes in a checkpoint: of the method's own state, and of where the rows stand."""


def pieces(strategy: Strategy, method: MethodWork) -> Iterator[Piece]:
    """All that training changes, for a checkpoint: every element once. Rank 0 gives the method's own state."""
    yield from strategy.pieces()
    if strategy.world.leads:
        for name, value in method.state(strategy.model).items():
            yield Piece(METHOD + name, tuple(value.shape), 0, value.detach().reshape(-1))


def put_down(loop: Loop, checkpoints: Checkpoints) -> None:
    """Begin to write a checkpoint of where the loop is: all that `go_on` puts back."""
    world, own = loop.strategy.world, {"generator": torch.get_rng_state()}
    if world.device.type == "cuda":
        own["cuda_generator"] = torch.cuda.get_rng_state(world.device)
    document = {**loop.state.document(), "schedule": loop.schedule.last_epoch}
    document["loss_scale"] = loop.strategy.scale.document()
    rows = [
        Piece(ROWS + name, values.shape, 0, torch.from_numpy(values).reshape(-1))
        for name, values in loop.rows.state().items()
        if world.leads
    ]
    checkpoints.save(loop.state.step, chain(pieces(loop.strategy, loop.method), rows), own, document)


def restore(read: Read, strategy: Strategy, method: MethodWork, optimiser: bool) -> None:
    """Put back what `pieces` gave, on any number of ranks."""
    strategy.restore(read, optimiser)
    values = {}
    for name, value in method.state(strategy.model).items():
        flat = read(METHOD + name, 0, value.numel())
        if flat is not None:  # an earlier version kept nothing of a method: it is as it was made
            values[name] = flat.view(value.shape)
    method.restore(strategy.model, values)


def whole(read: Read, name: str, shape: list[int]) -> np.ndarray:
    """All of one array of a checkpoint."""
    flat = read(name, 0, math.prod(shape))
    assert flat is not None
    values: np.ndarray = flat.numpy().reshape(shape)
    return values


def go_on(loop: Loop, checkpoints: Checkpoints, report: Report) -> None:
    """Put the loop where the newest good checkpoint was, if there is one; of a run that is continued, at first that
    run's. Raises WorkerError where that one cannot be continued.
    """
    strategy, method, world = loop.strategy, loop.method, loop.strategy.world
    inherited = continued(loop.training)
    manifest = checkpoints.take_over(lambda manifest: misfit(manifest, strategy, method), inherited)
    if manifest is None and inherited is not None:
        what = "the last checkpoint of the run that this one continues cannot be gone on from"
        do = "rank-0.log has the reason; without --with-optimiser its model alone is gone on with"
        raise WorkerError(Problem(what, str(inherited), do))
    if manifest is None:
        return
    report.starts(f"reading the checkpoint of step {manifest['step']}")
    state, saved = dict(manifest["state"]), checkpoints.open(manifest["step"])
    restore(saved.read, strategy, method, optimiser=True)
    loop.rows.restore(
        {
            name.removeprefix(ROWS): whole(saved.read, name, about["shape"])
            for name, about in manifest["tensors"].items()
            if name.startswith(ROWS)
        }
    )
    loop.schedule.last_epoch = int(state.pop("schedule")) - 1
    loop.schedule.step()
    strategy.scale.restore(state.pop("loss_scale", {}))
    loop.state = LoopState(**state)
    loop.saved_step = loop.state.step
    generator, on_gpu = (saved.own(world.rank, name) for name in ("generator", "cuda_generator"))
    if generator is not None:
        torch.set_rng_state(generator)
    if on_gpu is not None and world.device.type == "cuda":
        torch.cuda.set_rng_state(on_gpu, world.device)
    report.begins_after = loop.state.step
    report.note(f"resumed at step {loop.state.step} of {loop.plan.steps}")


def continued(training: Training) -> Path | None:
    """The checkpoints of the run that is continued with its optimiser; None where none is."""
    if training.from_run is None or not training.with_optimiser:
        return None
    old = ancestor(training.from_run)
    return None if old.run is None else old.run.attempts()[-1].checkpoints


def misfit(manifest: dict[str, Any], strategy: Strategy, method: MethodWork) -> str:
    """What of a whole checkpoint the run cannot be put back to; empty where it can."""
    state = manifest["state"].keys() - {"loss_scale"}
    if state != {"schedule", *LoopState().document()}:
        return "the state of the loop in it is another version's"
    for name, _, shape in strategy.trainable():
        about = manifest["tensors"].get(f"model.{name}", {"shape": None})
        if about["shape"] != list(shape):
            return f"it holds no {name} of {list(shape)}"
    for name, value in method.state(strategy.model).items():
        about = manifest["tensors"].get(METHOD + name)
        if about is not None and about["shape"] != list(value.shape):
            return f"what the method keeps, {name}, has another shape in it"
    return ""
