"""Going on from the newest checkpoint that is whole and fits."""

from __future__ import annotations

from typing import Any

import torch

from launcher.training.checkpoints.writer import Checkpoints
from launcher.training.loop import Loop, LoopState
from launcher.training.report.report import Report
from launcher.training.strategies import Strategy


def go_on(loop: Loop, checkpoints: Checkpoints, report: Report) -> None:
    """Put the loop where the newest good checkpoint was, if there is one."""
    strategy, world = loop.strategy, loop.strategy.world
    manifest = checkpoints.take_over(lambda manifest: misfit(manifest, strategy))
    if manifest is None:
        return
    report.starts(f"reading the checkpoint of step {manifest['step']}")
    state, saved = dict(manifest["state"]), checkpoints.open(manifest["step"])
    strategy.restore(saved.read, optimiser=True)
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


def misfit(manifest: dict[str, Any], strategy: Strategy) -> str:
    """What of a whole checkpoint the run cannot be put back to; empty where it can."""
    state = manifest["state"].keys() - {"loss_scale"}
    if state != {"schedule", *LoopState().document()}:
        return "the state of the loop in it is another version's"
    for name, _, shape in strategy.trainable():
        about = manifest["tensors"].get(f"model.{name}", {"shape": None})
        if about["shape"] != list(shape):
            return f"it holds no {name} of {list(shape)}"
    return ""
