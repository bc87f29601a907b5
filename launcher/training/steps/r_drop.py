"""R-Drop: a model that is asked twice, with other neurons dropped, should answer the same.

Liang et al. 2021, "R-Drop: Regularized Dropout for Neural Networks" (arXiv 2106.14448). The loss is half of theirs, so
that it compares with the loss without it: the mean of both passes' losses, and half the weight times how far the two
answers lie apart. Both passes are one batch of twice the rows: sharded weights are gathered once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from launcher.training.model_parts.outputs import Tensors
from launcher.training.steps.shape import Forward, StepShape
from launcher.training.tasks.base import TaskWork
from launcher.training.tasks.collate import Batch


@dataclass(frozen=True)
class RDrop(StepShape):
    """See `StepShape`. `weight` is how much the distance counts; it is added to the first of the task's losses."""

    weight: float

    def losses(self, work: TaskWork, forward: Forward, batch: Batch, turn: int = 0) -> dict[str, torch.Tensor]:
        """The mean of both passes' losses, and what lies between them."""
        outputs = forward(twice(batch.inputs))
        one, other = ({name: values.chunk(2)[half] for name, values in outputs.items()} for half in (0, 1))
        first, second = work.loss(one, batch.wanted), work.loss(other, batch.wanted)
        both = {name: first[name] + second[name] for name in first}
        main = next(iter(both))
        both[main] = both[main] + self.weight * work.divergence(one, other, batch.wanted)
        return {name: loss / 2 for name, loss in both.items()}


def twice(inputs: Tensors) -> dict[str, torch.Tensor]:
    """Each input [rows, …] with its rows once more below, [2 x rows, …]."""
    return {name: torch.cat([values, values]) for name, values in inputs.items()}
