"""What every shape of a step answers, and how its losses become one."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import reduce
from typing import ClassVar

import torch

from launcher.errors import Problem, WorkerError
from launcher.training.batches.order import MicroBatch
from launcher.training.batches.rows import Step
from launcher.training.model_parts.outputs import Tensors
from launcher.training.tasks.base import TaskWork
from launcher.training.tasks.collate import Batch

Forward = Callable[[Tensors], Tensors]
"""Inputs of the model -> its outputs. Every rank calls it equally often."""


class StepShape(ABC):
    """One way to get the losses of a micro-batch's rows."""

    turns: ClassVar[int] = 1
    """Forward and backward passes that a micro-batch takes one after the other; their losses are added."""

    def begin(self, work: TaskWork, forward: Forward, step: Step, make: Callable[[MicroBatch], Batch]) -> None:  # noqa: B027
        """What is to be done before the first micro-batch of a step: nothing, where each has losses of its own."""

    @abstractmethod
    def losses(self, work: TaskWork, forward: Forward, batch: Batch, turn: int = 0) -> dict[str, torch.Tensor]:
        """By name, each summed over its targets, a float32 scalar. Turn 1 comes after turn 0's backward pass."""


def mean_of(losses: Mapping[str, torch.Tensor], targets: Mapping[str, int]) -> torch.Tensor:
    """This micro-batch's part of the global batch's loss: each sum by its number of targets in the whole batch."""
    if losses.keys() != targets.keys():
        what = f"the task's loss() gives {', '.join(losses)}, and its encode() has targets for {', '.join(targets)}"
        raise WorkerError(Problem(what, do="give both the same names, such as loss"))
    if several := [name for name, loss in losses.items() if loss.numel() != 1]:
        what = f"the task's loss() gives {several[0]!r} as a tensor of shape {list(losses[several[0]].shape)}"
        raise WorkerError(Problem(what, do="sum it over all its targets"))
    return reduce(operator.add, (losses[name] / count for name, count in targets.items()))
