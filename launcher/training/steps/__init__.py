"""What a step computes of a micro-batch: once (`plain`), or in another shape, each in a module of its own."""

from __future__ import annotations

from torch import nn

from launcher.recipe.training import Training
from launcher.training.distributed.world import World
from launcher.training.steps.fgm import FGM
from launcher.training.steps.plain import Plain
from launcher.training.steps.r_drop import RDrop
from launcher.training.steps.shape import StepShape
from launcher.training.steps.whole_batch import WholeBatch
from launcher.training.tasks.base import TaskWork


def shape_of(
    training: Training, model: nn.Module, work: TaskWork | None = None, world: World | None = None
) -> StepShape:
    """The shape that the recipe asks for, or that the task needs: one that `couples` the rows of a batch has part in
    its whole `world`. `model` is the one that trains, wrapped or not.
    """
    if work is not None and work.couples:
        assert world is not None
        return WholeBatch(world)
    shape: StepShape = RDrop(training.r_drop) if training.r_drop else Plain()
    return shape if training.fgm is None else FGM(training.fgm, shape, model)
