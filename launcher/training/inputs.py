"""From rows of a split to the padded tensors that a model takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from launcher.training.batches import Split
from launcher.training.tasks import TaskWork


@dataclass(frozen=True)
class Inputs:
    """Callable: `(split, rows) -> {"input_ids", "labels", "attention_mask"}` on one device."""

    work: TaskWork
    padding: int
    device: torch.device

    def __call__(self, split: Split, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """`input_ids` int64 [rows, width]; `attention_mask` only where lengths differ; the task's `labels`."""
        ids, lengths = split.tokens(rows, self.padding)
        batch = padded(ids, lengths)
        batch["labels"] = self.work.batch_labels(split.columns, rows, ids.shape[1])
        return {name: torch.from_numpy(values).to(self.device, non_blocking=True) for name, values in batch.items()}


def padded(ids: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
    """The mask is left out where nothing is padded: attention without a mask is the faster one."""
    if lengths.min() == ids.shape[1]:
        return {"input_ids": ids}
    mask = (np.arange(ids.shape[1])[None, :] < lengths[:, None]).astype(np.int64)
    return {"input_ids": ids, "attention_mask": mask}
