"""Prepared rows: typed columns on disk, mapped into memory. numpy only.

A row is what a model takes at a time; an example is what the data has a row for. One example may become several rows:
a long document's windows, the choices of a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from launcher.errors import DataError, Problem
from launcher.training.batches.mapped import mapped_arrays

TOKENS = "input_ids"
"""The column whose values are rows of an embedding table."""
FURTHER, SHARED = "further_", "shared"
"""Of the inputs of a batch whose outputs are compared with each other. The one stands before the names of those that
are computed after the others, in a pass of their own: none is padded to the length of the other kind. Under the other
name is for each output [outputs, …] which row of the inputs it is of, int64: what stands there twice is computed once.
"""
LENGTHS = "lengths"
"""The column of the tokens of each of several texts, whose tokens stand one after another in a row."""
COUNTED = 2**20
"""Tokens that are counted at a time: numpy counts in a copy of twice their size."""


class Ragged(NamedTuple):
    """Rows of different lengths: row `i` is `values[offsets[i]:offsets[i + 1]]`; `offsets` is int64 [rows + 1]."""

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], dtype: type[np.generic]) -> Ragged:
        """From rows of numbers."""
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        values = np.fromiter((value for row in rows for value in row), dtype=dtype, count=int(offsets[-1]))
        return cls(values, offsets)

    @property
    def lengths(self) -> np.ndarray:
        """Of each row, int64 [rows]."""
        return np.diff(self.offsets)

    def lengths_of(self, rows: np.ndarray) -> np.ndarray:
        """Of these rows, int64."""
        lengths: np.ndarray = self.offsets[rows + 1] - self.offsets[rows]
        return lengths

    def row(self, number: int) -> np.ndarray:
        """One row's values, a view."""
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    def padded(self, rows: np.ndarray, fill: int) -> np.ndarray:
        """These rows side by side, [rows, longest of them], with `fill` behind the shorter ones.

        Whole numbers as int64, others in their own type.
        """
        starts, stops = self.offsets[rows], self.offsets[rows + 1]
        kind = self.values.dtype if self.values.dtype.kind == "f" else np.dtype(np.int64)
        padded = np.full((len(rows), int((stops - starts).max())), fill, dtype=kind)
        for place, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            padded[place, : stop - start] = self.values[start:stop]
        return padded


Column = np.ndarray | Ragged
"""An array [rows, …], or rows of different lengths."""


def rows_in(column: Column) -> int:
    """How many rows it has."""
    return len(column.offsets) - 1 if isinstance(column, Ragged) else len(column)


def as_array(column: Column) -> np.ndarray:
    """A column that is an array [rows, …]."""
    assert not isinstance(column, Ragged)
    return column


def as_ragged(column: Column) -> Ragged:
    """A column whose rows have different lengths."""
    assert isinstance(column, Ragged)
    return column


def take(column: Column, rows: np.ndarray) -> Column:
    """These rows of a column."""
    if not isinstance(column, Ragged):
        taken: np.ndarray = column[rows]
        return taken
    offsets = np.concatenate([[0], np.cumsum(column.lengths_of(rows))])
    parts = [column.row(row) for row in rows]
    return Ragged(np.concatenate(parts) if parts else column.values[:0], offsets)


@dataclass(frozen=True)
class Split:
    """The rows of one split.

    `columns` are what a batch is made of. `targets` has, for each loss of the task, how many things it is averaged
    over in each row, int64 [rows]: known before a batch is drawn, so the mean over a global batch is exact on any
    number of processes. `cost` is what a row takes, int64 [rows], by which rows are ordered: its tokens, or 1.
    `example` is the number of each row's example, int64 [rows]; rows of one example follow each other.
    """

    columns: Mapping[str, Column]
    targets: Mapping[str, np.ndarray]
    cost: np.ndarray
    example: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Split:
        """What `split_file.write` wrote. Its columns are views of the file: the ranks of a machine share one copy."""
        arrays = mapped_arrays(path)
        try:
            named = {part: _of(arrays, part) for part in ("columns", "offsets", "targets")}
            columns = {name: _column(values, named["offsets"].get(name)) for name, values in named["columns"].items()}
            return cls(columns, named["targets"], arrays["cost"], arrays["example"])
        except (KeyError, ValueError) as error:
            do = "take that folder away: it is made again by the next run"
            raise DataError(Problem(f"prepared data is damaged: {error}", str(path), do)) from None

    @classmethod
    def joined(cls, parts: Sequence[Split]) -> Split:
        """One split of the rows of several, in order; examples and offsets go on from part to part.

        Raises DataError where a part lacks a column that the others have.
        """
        names = dict.fromkeys(name for part in parts for name in part.columns)
        before = np.cumsum([0, *(part.examples for part in parts)])
        return cls(
            {name: _joined([_named(part, name) for part in parts]) for name in names},
            {name: np.concatenate([part.targets[name] for part in parts]) for name in parts[0].targets},
            np.concatenate([part.cost for part in parts]),
            np.concatenate([part.example + first for part, first in zip(parts, before, strict=False)]),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file holds of it (`split_file`), by name."""
        arrays = {"cost": self.cost, "example": self.example}
        arrays |= {f"targets/{name}": values for name, values in self.targets.items()}
        for name, column in self.columns.items():
            arrays[f"columns/{name}"] = column.values if isinstance(column, Ragged) else column
            if isinstance(column, Ragged):
                arrays[f"offsets/{name}"] = column.offsets
        return arrays

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.cost)

    @property
    def examples(self) -> int:
        """How many rows of the data."""
        return int(self.example[-1]) + 1 if len(self.example) else 0

    @property
    def token_ids(self) -> np.ndarray:
        """All tokens of all rows, one after the other; none where rows are of something else."""
        return self.ragged(TOKENS).values if TOKENS in self.columns else np.zeros(0, np.int32)

    @property
    def lengths_of_inputs(self) -> tuple[str, np.ndarray]:
        """What a model takes at a time, a `row` or each `text` of it, and the tokens of each, or what else it costs."""
        return ("text", self.ragged(LENGTHS).values) if LENGTHS in self.columns else ("row", self.cost)

    def array(self, name: str) -> np.ndarray:
        """A column that is an array [rows, …]."""
        return as_array(self.columns[name])

    def ragged(self, name: str) -> Ragged:
        """A column whose rows have different lengths."""
        return as_ragged(self.columns[name])

    def rows_of(self, example: int) -> np.ndarray:
        """The numbers of an example's rows."""
        return np.arange(*np.searchsorted(self.example, (example, example + 1)))

    def distinct_tokens(self, rows: np.ndarray) -> np.ndarray:
        """Sorted ids that occur in these rows."""
        if TOKENS not in self.columns:
            return np.zeros(0, np.int64)
        ids = self.ragged(TOKENS)
        return np.unique(np.concatenate([ids.row(row) for row in rows])).astype(np.int64)


def occurrences(ids: np.ndarray, size: int) -> np.ndarray:
    """How often each of the ids below `size` occurs, int64 [size]."""
    counts = np.zeros(size, dtype=np.int64)
    for start in range(0, len(ids), COUNTED):
        counts += np.bincount(ids[start : start + COUNTED], minlength=size)
    return counts


def _of(arrays: Mapping[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{part}/"): values for name, values in arrays.items() if name.startswith(f"{part}/")}


def _column(values: np.ndarray, offsets: np.ndarray | None) -> Column:
    """What the file holds of one column. Raises ValueError where offsets lead out of its values."""
    if offsets is None:
        return values
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(values):
        raise ValueError("offsets do not fit the values they are of")
    return Ragged(values, offsets)


def lacking(name: str) -> DataError:
    """Some parts of a split have this column, and others do not."""
    what = f"the task's encode() gives a column {name!r} for some rows and none for others"
    return DataError(Problem(what, do="give the same columns for all rows"))


def _named(part: Split, name: str) -> Column:
    if name not in part.columns:
        raise lacking(name)
    return part.columns[name]


def _joined(columns: Sequence[Column]) -> Column:
    ragged = [column for column in columns if isinstance(column, Ragged)]
    if not ragged:
        return np.concatenate([column for column in columns if not isinstance(column, Ragged)])
    ends = np.cumsum([0, *(column.offsets[-1] for column in ragged)])
    offsets = [ragged[0].offsets[:1], *(c.offsets[1:] + end for c, end in zip(ragged, ends, strict=False))]
    return Ragged(np.concatenate([column.values for column in ragged]), np.concatenate(offsets))
