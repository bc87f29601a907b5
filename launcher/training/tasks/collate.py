"""From rows of a split to the padded tensors that a model takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from launcher.training.batches.split import Split
from launcher.training.tasks import TaskWork


@dataclass(frozen=True)
class Inputs:
    """Callable: `(split, rows) -> {"input_ids", "labels", "attention_mask", "token_type_ids"}` on one device."""

    work: TaskWork
    padding: int
    device: torch.device

    def __call__(self, split: Split, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """What `padded` gives, and the task's `labels`."""
        batch = padded(split, rows, self.padding)
        batch["labels"] = self.work.batch_labels(split.columns, rows, batch["input_ids"].shape[1])
        return {name: torch.from_numpy(values).to(self.device, non_blocking=True) for name, values in batch.items()}


def padded(split: Split, rows: np.ndarray, padding: int) -> dict[str, np.ndarray]:
    """`input_ids` int64 [rows, width]; `attention_mask` only where lengths differ, for attention without a mask is the
    faster one; `token_type_ids` where the split has them.
    """
    ids, lengths = split.tokens(rows, padding)
    batch = {"input_ids": ids}
    if lengths.min() < ids.shape[1]:
        batch["attention_mask"] = (np.arange(ids.shape[1])[None, :] < lengths[:, None]).astype(np.int64)
    if "token_types" in split.columns:
        batch["token_type_ids"] = split.padded("token_types", rows, 0)
    return batch
