"""What a step computes of a micro-batch: once (`plain`), or in another shape, each in a module of its own."""

from __future__ import annotations

from launcher.recipe.training import Training
from launcher.training.steps.plain import Plain
from launcher.training.steps.r_drop import RDrop
from launcher.training.steps.shape import StepShape


def shape_of(training: Training) -> StepShape:
    """The shape that the recipe asks for."""
    return Plain() if training.passes == 1 else RDrop(training.r_drop)
