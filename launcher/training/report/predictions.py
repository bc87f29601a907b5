"""What a model says of a split, kept while the split is evaluated, so that figures need no second look at it."""

from __future__ import annotations

import numpy as np
import torch

from launcher.training.batches.split import Split
from launcher.training.distributed.world import World

MOST_SCORES = 4_000_000
"""Of longer splits evenly spread targets are kept: a curve of so many points is as good as that of all."""
UNSEEN = -1.0


class PredictionRecorder:
    """The class that was predicted for every target, and each class's probability for every `stride`-th one.

    Where a target is a yes or no, all its classes have the probability of yes, and `yes_or_no` is set. Every rank
    sees its own rows; after `gather` rank 0 knows all. Whatever breaks in here ends no evaluation: `broken` says what.
    """

    def __init__(self, split: Split, classes: int):
        self.split = split
        self.targets = int(split.targets.sum())
        self.stride = max(1, -(-self.targets * classes // MOST_SCORES))
        self.scores = np.full((-(-self.targets // self.stride), classes), UNSEEN, dtype=np.float32)
        self.yes_or_no = False
        self.predicted: np.ndarray | None = None
        self.broken = ""

    def record(self, places: np.ndarray, told: torch.Tensor, wanted: torch.Tensor) -> None:
        """One batch: logits, labels (-100 where there is no target), and the places of its targets in the split."""
        try:
            self.yes_or_no = told.shape == wanted.shape
            chosen = told[wanted != -100].float()
            chosen = chosen.sigmoid().unsqueeze(-1) if self.yes_or_no else chosen.softmax(dim=-1)
            probabilities = chosen.cpu().numpy()
            mine = places % self.stride == 0
            self.scores[places[mine] // self.stride] = probabilities[mine]
        except Exception as error:  # a task of the user's own may have logits of another shape
            self.broken = f"{type(error).__name__}: {error}"

    def gather(self, world: World, predicted: np.ndarray) -> None:
        """Put together what the ranks saw; all take part, whatever broke on one."""
        self.predicted, self.scores = predicted, world.largest(self.scores)
        if not self.broken and (self.scores == UNSEEN).any():
            self.broken = "another rank could not read the logits"
        if not self.broken and not np.isfinite(self.scores).all():
            self.broken = "the model's probabilities are not finite"
