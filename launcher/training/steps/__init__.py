"""What a step computes of a micro-batch: once (`plain`), or in another shape, each in a module of its own."""

from __future__ import annotations

from torch import nn

from launcher.recipe.training import Training
from launcher.training.steps.fgm import FGM
from launcher.training.steps.plain import Plain
from launcher.training.steps.r_drop import RDrop
from launcher.training.steps.shape import StepShape


def shape_of(training: Training, model: nn.Module) -> StepShape:
    """The shape that the recipe asks for; `model` is the one that trains, wrapped or not."""
    shape: StepShape = RDrop(training.r_drop) if training.r_drop else Plain()
    return shape if training.fgm is None else FGM(training.fgm, shape, model)
