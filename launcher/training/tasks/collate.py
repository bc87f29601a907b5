"""From rows of a split to the tensors of a batch, on the device that computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from launcher.errors import Problem, WorkerError
from launcher.training.batches.split import Split
from launcher.training.tasks.base import Draw, TaskWork


class Batch(NamedTuple):
    """What the forward pass takes, and what the loss takes besides its outputs."""

    inputs: dict[str, torch.Tensor]
    wanted: dict[str, torch.Tensor]


@dataclass(frozen=True)
class Batches:
    """Callable: `(split, rows, draw) -> Batch`."""

    work: TaskWork
    device: torch.device

    def __call__(self, split: Split, rows: np.ndarray, draw: Draw | None = None) -> Batch:
        """What the task collates of these rows."""
        arrays = self.work.collate(split, rows, draw)
        tensors = {name: torch.from_numpy(values).to(self.device, non_blocking=True) for name, values in arrays.items()}
        if lacking := [name for name in self.work.wanted if name not in tensors]:
            what = f"the task wants {', '.join(lacking)}, and its batches hold {', '.join(tensors)}"
            raise WorkerError(Problem(what, do="give encode() a column of that name"))
        wanted = {name: tensors.pop(name) for name in self.work.wanted}
        return Batch(tensors, wanted)
