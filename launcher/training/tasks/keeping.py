"""What batches gave to keep, put together by row: on one process, or over all ranks."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch

from launcher.errors import Problem, WorkerError
from launcher.training.batches.split import Column, Ragged, rows_in
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
            self._refuse_misfit(name, value, len(rows))
            if isinstance(value, Ragged):
                self.ragged.setdefault(name, []).extend([(rows, value)] if counts and len(rows) else [])
            else:
                if name not in self.arrays:
                    self.arrays[name] = np.zeros((len(self.counts), *value.shape[1:]), value.dtype)
                if counts:
                    self.arrays[name][rows] = value
        if counts:
            self.counts[rows] += 1

    def _refuse_misfit(self, name: str, value: Column, rows: int) -> None:
        """Raise WorkerError where a value is not of these rows, or not of the kind that it was before."""
        do = "have keep() and detail() give a numpy array with a value for each row, or an extend.Ragged"
        if not isinstance(value, np.ndarray | Ragged):
            raise WorkerError(Problem(f"the task keeps {name!r} as a {type(value).__name__}", do=do))
        flat = value.values if isinstance(value, Ragged) else value
        kept = rows_in(value)
        if kept != rows:
            raise WorkerError(Problem(f"the task keeps {name!r} of {kept} rows, of a batch of {rows}", do=do))
        like = self.like.setdefault(name, flat[:0])
        if (like.shape[1:], like.dtype) != (flat.shape[1:], flat.dtype):
            what = f"the task keeps {name!r} as {_kind(like)} of one batch and as {_kind(flat)} of another"
            raise WorkerError(Problem(what, do="give what differs in length from row to row as an extend.Ragged"))

    def _refuse_other_kinds(self, world: World) -> None:
        """Raise WorkerError, on every rank, where ranks keep values of different kinds."""
        kinds = repr({name: _kind(values) for name, values in sorted(self.like.items())})
        number = zlib.crc32(kinds.encode())
        most, least = world.largest(np.array([number, -number], dtype=np.int64))
        if most != -least:
            what = f"the ranks keep values of different kinds, this one {kinds}"
            raise WorkerError(Problem(what, do="give what differs in length from row to row as an extend.Ragged"))

    def together(self, world: World) -> dict[str, Column]:
        """All rows of all ranks. Raises WorkerError unless each was added exactly once."""
        self._refuse_other_kinds(world)
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


def _kind(values: np.ndarray) -> str:
    return f"{values.dtype} [rows{''.join(f', {side}' for side in values.shape[1:])}]"


def _summed(values: np.ndarray, world: World) -> np.ndarray:
    """Over all ranks, of which one has a value and the others zero bytes: exact, and in types that gloo cannot add."""
    flat = values.reshape(-1)
    addable = flat if flat.dtype in (np.int32, np.int64, np.float32, np.float64) else flat.view(np.uint8)
    summed: np.ndarray = world.total(torch.from_numpy(addable)).numpy()
    return summed.view(values.dtype).reshape(values.shape)
