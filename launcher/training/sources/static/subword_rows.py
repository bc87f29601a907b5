"""Which rows of one dense table make the vector of each token: its own, and those of its subwords. numpy only.

A word's vector is the mean of the rows of its subwords (Bojanowski et al. 2017). fastText gives every bucket that its
hash can name a row; here only those have one that a word of the training split has, in the order of their numbers. A
subword that training never saw counts as zeros, so that a model written as a `.bin`, where it has such a row, gives the
same vectors.

    row 0            zeros: padding
    rows 1 to own    the words that have a row of their own
    further rows     the buckets that training names
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from launcher.training.batches.split import Ragged
from launcher.training.fasttext.subwords import END_OF_LINE, Subwords
from launcher.training.sources.static.vocabulary import SPECIAL

FILE = "subwords.safetensors"


@dataclass(frozen=True)
class SubwordRows:
    """The rows of every token."""

    subwords: Subwords
    own: int
    """Words that have a row of their own."""
    buckets: np.ndarray
    """Numbers of the buckets that have a row, int64, sorted."""
    rows: Ragged
    """By token, int64: its own row first if it has one, then those of its subwords."""
    counts: np.ndarray
    """Of how many rows each token's vector is the mean, int64 [tokens]: also those that the table lacks."""
    scale: float = 1.0
    """By what fastText's rows were multiplied before training."""

    @classmethod
    def of(
        cls, subwords: Subwords, tokens: Sequence[str], own: Sequence[str], buckets: np.ndarray | None = None
    ) -> SubwordRows:
        """For the tokens of a training split, of which `own` have a row of their own, in this order. The padding and
        the unknown, whose numbers are before theirs, have no row.

        `buckets` are all that training names, where these are more than the subwords of its tokens.
        """
        named = np.unique(subwords.of(tokens).values) if buckets is None else buckets
        nothing = Ragged(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64))
        empty = cls(subwords, len(own), named, nothing, np.zeros(0, dtype=np.int64))
        number = {token: row for row, token in enumerate(own, 1)}
        row_of = [*[0] * len(SPECIAL), *(number.get(token, 0) for token in tokens)]
        return empty._with([*[END_OF_LINE] * len(SPECIAL), *tokens], np.array(row_of, dtype=np.int64))

    @property
    def size(self) -> int:
        """Rows of the table."""
        return 1 + self.own + len(self.buckets)

    def with_new(self, tokens: Sequence[str]) -> SubwordRows:
        """With tokens that training never saw behind the others: what is known of them are subwords."""
        return self._with(tokens, np.zeros(len(tokens), dtype=np.int64))

    def row_of(self, buckets: np.ndarray) -> np.ndarray:
        """The row of each bucket, int64; 0 for one that has none."""
        if not len(self.buckets):
            return np.zeros(len(buckets), dtype=np.int64)
        places = np.searchsorted(self.buckets, buckets).clip(max=len(self.buckets) - 1)
        return np.where(self.buckets[places] == buckets, 1 + self.own + places, 0)

    def _with(self, tokens: Sequence[str], own: np.ndarray) -> SubwordRows:
        found = self.subwords.of(tokens)
        lengths, rows = found.lengths, self.row_of(found.values)
        token = np.repeat(np.arange(len(tokens)), lengths)
        first = np.flatnonzero(own)
        # a stable sort puts a token's own row, which comes first here, before its subwords
        token, rows = np.concatenate([first, token]), np.concatenate([own[first], rows])
        order = np.argsort(token, kind="stable")
        token, rows = token[order], rows[order]
        there = rows > 0
        offsets = np.zeros(len(tokens) + 1, dtype=np.int64)
        np.cumsum(np.bincount(token[there], minlength=len(tokens)), out=offsets[1:])
        joined = Ragged(
            np.concatenate([self.rows.values, rows[there]]),
            np.concatenate([self.rows.offsets, self.rows.offsets[-1] + offsets[1:]]),
        )
        return replace(self, rows=joined, counts=np.concatenate([self.counts, lengths + (own > 0)]))

    def save(self, folder: Path) -> None:
        """As folder/`subwords.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.tensors(), folder / FILE)

    def tensors(self) -> dict[str, np.ndarray]:
        """What a model keeps of it."""
        shape = [self.subwords.shortest, self.subwords.longest, self.subwords.buckets, self.own]
        return {
            "shape": np.array(shape, dtype=np.int64),
            "buckets": self.buckets,
            "values": self.rows.values,
            "offsets": self.rows.offsets,
            "counts": self.counts,
            "scale": np.array([self.scale], dtype=np.float32),
        }

    @classmethod
    def load(cls, folder: Path) -> SubwordRows:
        """What `save` wrote."""
        return cls.from_tensors(load_file(folder / FILE))

    @classmethod
    def from_tensors(cls, found: dict[str, np.ndarray]) -> SubwordRows:
        """See `tensors`."""
        *shape, own = map(int, found["shape"])
        rows = Ragged(found["values"], found["offsets"])
        return cls(Subwords(*shape), own, found["buckets"], rows, found["counts"], float(found["scale"][0]))
