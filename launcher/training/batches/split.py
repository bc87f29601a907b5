"""Tokenised splits on disk, the order of their rows, and padded micro-batches. numpy only.

The order is a function of (seed, epoch) alone. A rank takes its slice of each global batch, so neither the
order nor the loss depends on the number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from launcher.errors import DataError, Problem
from launcher.training.batches.mapped import mapped_arrays

POOL = 100
"""Global batches whose rows are sorted by length together: little padding, and still a good shuffle."""
TYPES = "token_types"
COUNTED = 2**20
"""Tokens that are counted at a time: numpy counts in a copy of twice their size."""


@dataclass(frozen=True)
class Split:
    """The columns of one tokenised split: `input_ids` flat, `offsets` [rows + 1], `targets` [rows], labels.

    `token_types`, flat like `input_ids`, where rows are pairs whose texts the model tells apart.
    """

    columns: Mapping[str, np.ndarray]

    @classmethod
    def load(cls, path: Path) -> Split:
        """A split that `save` wrote. Its columns are views of the file: the ranks of a machine share one copy."""
        return cls(mapped_arrays(path))

    @classmethod
    def joined(cls, parts: Sequence[Mapping[str, np.ndarray]]) -> Split:
        """One split of the columns of several, in order; `…offsets` go on from part to part.

        Raises DataError where a part lacks a column that the others have.
        """
        columns = {}
        for name in dict.fromkeys(name for part in parts for name in part):
            values = [_column(part, name) for part in parts]
            if name.endswith("offsets"):
                ends = np.cumsum([0, *(each[-1] for each in values)])
                values = [values[0][:1], *(each[1:] + end for each, end in zip(values, ends, strict=False))]
            columns[name] = np.concatenate(values)
        return cls(columns)

    def save(self, path: Path) -> None:
        """Write the columns as safetensors."""
        save_file({name: np.ascontiguousarray(values) for name, values in self.columns.items()}, path)

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.columns["targets"])

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 [rows]."""
        return np.diff(self.columns["offsets"])

    @property
    def targets(self) -> np.ndarray:
        """Loss targets of each row, int64 [rows]."""
        return self.columns["targets"]

    def tokens(self, rows: np.ndarray, padding: int) -> tuple[np.ndarray, np.ndarray]:
        """Padded `input_ids` int64 [rows, width] and the rows' lengths."""
        return self.padded("input_ids", rows, padding), self.lengths[rows]

    def padded(self, column: str, rows: np.ndarray, padding: int) -> np.ndarray:
        """What a flat column holds of each token of these rows, int64 [rows, width]."""
        lengths = self.lengths[rows]
        padded = np.full((len(rows), int(lengths.max())), padding, dtype=np.int64)
        starts = self.columns["offsets"][rows]
        for place, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            padded[place, :length] = self.columns[column][start : start + length]
        return padded

    def distinct_tokens(self, rows: np.ndarray) -> np.ndarray:
        """Sorted ids that occur in these rows."""
        offsets, ids = self.columns["offsets"], self.columns["input_ids"]
        return np.unique(np.concatenate([ids[offsets[row] : offsets[row + 1]] for row in rows])).astype(np.int64)


def _column(part: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The column, or zeros for the token types, which a part leaves out whose rows have but one text each."""
    if name in part:
        return part[name]
    if name == TYPES:
        return np.zeros_like(part["input_ids"], np.uint8)
    what = f"the task's columns() gives a column {name!r} for some rows and none for others"
    raise DataError(Problem(what, do="give the same columns for all rows"))


@dataclass(frozen=True)
class MicroBatch:
    """Rows that one process computes at a time. `counts` is False for the filler of a rank without rows."""

    rows: np.ndarray
    counts: bool = True


def occurrences(ids: np.ndarray, size: int) -> np.ndarray:
    """How often each of the ids below `size` occurs, int64 [size]."""
    counts = np.zeros(size, dtype=np.int64)
    for start in range(0, len(ids), COUNTED):
        counts += np.bincount(ids[start : start + COUNTED], minlength=size)
    return counts


def permutation(size: int, *key: int) -> np.ndarray:
    """A permutation that depends on nothing but `key`.

    Built on raw Philox output (Salmon et al. 2011), whose stream numpy keeps stable between versions.
    """
    generator = np.random.Philox(np.random.SeedSequence(key))
    return np.argsort(generator.random_raw(size), kind="stable")


def global_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The epoch's global batches, each sorted by falling length; only one of them may be short."""
    order = permutation(len(lengths), seed, epoch, 0)
    batches: list[np.ndarray] = []
    for start in range(0, len(order), POOL * batch_size):
        pool = order[start : start + POOL * batch_size]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in permutation(len(batches), seed, epoch, 1)]


def share(batch: np.ndarray, rank: int, world_size: int, micro_batch_size: int) -> list[MicroBatch]:
    """This rank's micro-batches of a global batch; every rank gets equally many.

    Rows come sorted by length, and ranks take every `world_size`-th, so that they compute equally long. Micro-batches
    part a share likewise: those of one process are the shares of as many ranks. A rank that would get none
    computes the batch's first row with weight zero, because a collective waits for all.
    """
    mine = batch[rank::world_size]
    count = math.ceil(math.ceil(len(batch) / world_size) / micro_batch_size)
    parts = [mine[number::count] for number in range(count)]
    return [MicroBatch(part) if len(part) else MicroBatch(batch[:1], counts=False) for part in parts]


def evaluation_batches(split: Split, batch_size: int, rank: int, world_size: int) -> Iterator[MicroBatch]:
    """This rank's rows, each row of the split on exactly one rank, similar lengths together; equally many parts."""
    order = np.argsort(-split.lengths, kind="stable")
    for start in range(0, len(order), batch_size * world_size):
        yield from share(order[start : start + batch_size * world_size], rank, world_size, batch_size)
