"""What a loop trains on, step by step: rows of a prepared split, or of a stream (`training.streaming`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from launcher.training.batches.order import MicroBatch, global_batches, share
from launcher.training.batches.split import Split


class Draw(NamedTuple):
    """What a random change of a batch may depend on, besides the numbers of its rows."""

    seed: int
    epoch: int


Targets = Callable[[Split, np.ndarray, Draw], dict[str, int]]
"""`TaskWork.targets`: over how many things each loss of these rows is averaged."""


@dataclass(frozen=True)
class Step:
    """The rows of one optimiser step, as one rank sees them."""

    split: Split
    draw: Draw
    parts: list[MicroBatch]
    """This rank's micro-batches; all ranks have equally many."""
    targets: Mapping[str, int]
    """Of the whole global batch, for each loss."""
    examples: int
    """Rows of the whole global batch."""
    rows: np.ndarray
    """Their numbers in the split; of a stream, which has the rows of other ranks as empty ones, all of them too."""


class RowSource(Protocol):
    """Gives the rows of each step, the same global batches on any number of ranks."""

    ended: str
    """Why there are no more rows, once `step` gave None; empty before."""

    def step(self, number: int) -> Step | None:
        """The rows of step `number`, counted from 0; None where there are no more. Steps are asked for in order."""
        ...

    def following(self, number: int) -> np.ndarray | None:
        """The first rows that this rank computes in step `number`, where they are of the same split and draw."""
        ...

    def passed(self, steps: int) -> float:
        """How often the data has been gone through, about, after so many steps."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """What the order of the rows cannot tell of where they stand, the same on all ranks. A collective."""
        ...

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from there, on any number of ranks."""
        ...


@dataclass
class PreparedRows:
    """The rows of a split on disk: the order of an epoch is a function of (seed, epoch), known before it begins."""

    split: Split
    targets: Targets
    batch_size: int
    micro_batch_size: int
    seed: int
    steps_per_epoch: int
    rank: int
    world_size: int
    ended: str = ""
    epoch: int = -1
    of_epoch: list[np.ndarray] = field(default_factory=list)
    """The global batches of that epoch."""

    def step(self, number: int) -> Step:
        """See `RowSource`; of a prepared split there always are more."""
        epoch, index = divmod(number, self.steps_per_epoch)
        if epoch != self.epoch:
            self.of_epoch = global_batches(self.split.cost, self.batch_size, self.seed, epoch)
            self.epoch = epoch
        batch = self.of_epoch[index]
        draw = Draw(self.seed, epoch)
        return Step(self.split, draw, self._share(batch), self.targets(self.split, batch, draw), len(batch), batch)

    def following(self, number: int) -> np.ndarray | None:
        """See `RowSource`: rows of the same epoch."""
        epoch, index = divmod(number, self.steps_per_epoch)
        return self._share(self.of_epoch[index])[0].rows if epoch == self.epoch else None

    def passed(self, steps: int) -> float:
        """See `RowSource`."""
        return steps / self.steps_per_epoch

    def state(self) -> dict[str, np.ndarray]:
        """See `RowSource`: the number of the step is all."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """See `RowSource`."""

    def _share(self, batch: np.ndarray) -> list[MicroBatch]:
        return share(batch, self.rank, self.world_size, self.micro_batch_size)
