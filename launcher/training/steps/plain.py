"""One forward pass of each row."""

from __future__ import annotations

import torch

from launcher.training.steps.shape import Forward, StepShape
from launcher.training.tasks.base import TaskWork
from launcher.training.tasks.collate import Batch


class Plain(StepShape):
    """See `StepShape`."""

    def losses(self, work: TaskWork, forward: Forward, batch: Batch, turn: int = 0) -> dict[str, torch.Tensor]:
        """The task's own."""
        return work.loss(forward(batch.inputs), batch.wanted)
