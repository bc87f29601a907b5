"""What batches gave to keep, put together by row: on one process, or over all ranks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from launcher.errors import Problem, WorkerError
from launcher.training.batches.split import Column, Ragged
from launcher.training.distributed.world import World


class Keeping:
    """Values by row, for `rows` rows. Every rank adds its own; together they have each row exactly once.

    A rank without rows of its own adds a filler's values with `counts` False, so that all know what is kept.
    """

    def __init__(self, rows: int):
        self.counts = np.zeros(rows, dtype=np.int32)
        self.arrays: dict[str, np.ndarray] = {}
        self.ragged: dict[str, list[tuple[np.ndarray, Ragged]]] = {}
        self.like: dict[str, np.ndarray] = {}

    def add(self, rows: np.ndarray, values: Mapping[str, Column], counts: bool = True) -> None:
        """Values of a batch, a row each, for these rows."""
        for name, value in values.items():
            kept = len(value.offsets) - 1 if isinstance(value, Ragged) else len(value)
            if kept != len(rows):
                what = f"the task keeps {name!r} of {kept} rows, of a batch of {len(rows)}"
                raise WorkerError(Problem(what, do="have keep() and detail() give a value for each row"))
            if isinstance(value, Ragged):
                self.like[name] = value.values[:0]
                self.ragged.setdefault(name, []).extend([(rows, value)] if counts else [])
            else:
                if name not in self.arrays:
                    self.arrays[name] = np.zeros((len(self.counts), *value.shape[1:]), value.dtype)
                if counts:
                    self.arrays[name][rows] = value
        if counts:
            self.counts[rows] += 1

    def together(self, world: World) -> dict[str, Column]:
        """All rows of all ranks. Raises WorkerError unless each was added exactly once."""
        counts = _summed(self.counts, world)
        if (counts != 1).any():
            raise WorkerError(Problem(f"{int((counts != 1).sum())} of {len(counts)} rows were not evaluated once"))
        columns: dict[str, Column] = {name: _summed(values, world) for name, values in self.arrays.items()}
        return columns | {name: self._joined(name, world) for name in self.ragged}

    def _joined(self, name: str, world: World) -> Ragged:
        lengths = np.zeros(len(self.counts), dtype=np.int64)
        for rows, value in self.ragged[name]:
            lengths[rows] = value.lengths
        offsets = np.concatenate([[0], np.cumsum(_summed(lengths, world))])
        like = self.like[name]
        values = np.zeros((int(offsets[-1]), *like.shape[1:]), like.dtype)
        for rows, value in self.ragged[name]:
            indices = np.concatenate([np.arange(offsets[row], offsets[row + 1]) for row in rows])
            values[indices] = value.values
        return Ragged(_summed(values, world), offsets)


def _summed(values: np.ndarray, world: World) -> np.ndarray:
    """Over all ranks, of which one has a value and the others zero: exact in every type."""
    summed: np.ndarray = world.total(torch.from_numpy(values)).numpy()
    return summed
