"""From rows of a split to the tensors of a batch, on the device that computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from launcher.errors import Problem, WorkerError
from launcher.training.batches.split import TOKENS, Split
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
        self._refuse_other_tokens(arrays, split, rows)
        if lacking := [name for name in self.work.wanted if name not in tensors]:
            what = f"the task wants {', '.join(lacking)}, and its batches hold {', '.join(tensors)}"
            raise WorkerError(Problem(what, do="give encode() a column of that name"))
        wanted = {name: tensors.pop(name) for name in self.work.wanted}
        return Batch(tensors, wanted)

    def _refuse_other_tokens(self, arrays: Mapping[str, np.ndarray], split: Split, rows: np.ndarray) -> None:
        """Raise WorkerError where a task of the user's own draws tokens and does not say so: they would not train."""
        work = self.work
        if TOKENS not in arrays or work.feeds_any_token or type(work).collate is TaskWork.collate:
            return
        known = [*split.distinct_tokens(rows), int(work.tokenizer.pad_token_id or 0)]
        if not np.isin(arrays[TOKENS], known).all():
            what = "the task's collate() puts tokens into a batch that its rows do not have"
            raise WorkerError(Problem(what, do="write feeds_any_token = True in its class"))
