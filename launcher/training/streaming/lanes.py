"""Lanes: what of a streamed corpus is read one document after another.

The shards of a source are put in an order that depends on (seed, pass) alone, and dealt to its lanes in turn: lane l of
L reads those at l, l + L, l + 2L, … So a lane's rows are known without those of the others, and where it stands is a
few numbers. The lanes are as many as a global batch has rows, or as the source has shards where these are fewer; never
a function of the number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from typing import NamedTuple

import numpy as np

from launcher.errors import DataError
from launcher.training.batches.order import permutation
from launcher.training.batches.split import Split
from launcher.training.data.shard_reading import START, Chunk, Document, ShardReader
from launcher.training.data.stream_source import StreamSource

BUDGET = 2**15
"""Bytes of documents that a lane reads and encodes together."""
Encode = Callable[[list[Document]], Split]


@dataclass(frozen=True)
class Standing:
    """Where a lane stands: all that decides what it gives next."""

    epoch: int = 0
    """How often it has read its part of the source."""
    turn: int = 0
    """Which of its shards of this pass."""
    place: int = START
    """Where in the shard the chunk begins that it gives rows of."""
    row: int = 0
    """Rows of that chunk that were given."""
    read: int = 0
    """Documents in the chunks before."""
    skipped: int = 0
    """Of these, how many are faulty."""
    begun: int = 0
    """Documents of the chunk that rows were given of."""

    def numbers(self) -> np.ndarray:
        """Int64 [7]."""
        return np.array(astuple(self), np.int64)

    @classmethod
    def of(cls, numbers: np.ndarray) -> Standing:
        """What `numbers` gave."""
        return cls(*map(int, numbers))


NUMBERS = 7


class RowOf(NamedTuple):
    """A row, and the split that it is in."""

    split: Split
    number: int


class Order:
    """The order of a source's shards in each pass; the lanes of a rank share it."""

    def __init__(self, shards: int, *key: int):
        self.shards, self.key = shards, key
        self._drawn: dict[int, np.ndarray] = {}

    def of(self, epoch: int) -> np.ndarray:
        """Of one pass. The two last asked for are kept: lanes end their passes at different times."""
        if epoch not in self._drawn:
            self._drawn = {e: order for e, order in self._drawn.items() if abs(e - epoch) <= 1}
            self._drawn[epoch] = permutation(self.shards, *self.key, epoch).astype(np.int32)
        return self._drawn[epoch]


class Lane:
    """Gives the rows of its part of a source, one at a time, for so many passes."""

    def __init__(self, source: StreamSource, order: Order, lane: int, lanes: int, passes: int, encode: Encode):
        self.source, self.order, self.lane, self.lanes, self.passes = source, order, lane, lanes, passes
        self.encode, self.reader, self.standing = encode, ShardReader(source), Standing()
        self.skip_faulty = False
        self._chunk: Chunk | None = None
        self._rows: Split | None = None

    def stand(self, standing: Standing) -> None:
        """Go on from there."""
        self.standing, self._chunk, self._rows = standing, None, None

    @property
    def ended(self) -> bool:
        """Whether it has given all."""
        return self.standing.epoch >= self.passes

    def next(self) -> RowOf | None:
        """Its next row; None where its passes are over."""
        while not self.ended:
            if self._chunk is None:
                self._read()
            assert self._chunk is not None
            if self._rows is not None and self.standing.row < self._rows.rows:
                row = self.standing.row
                self.standing = replace(self.standing, row=row + 1, begun=int(self._rows.example[row]) + 1)
                return RowOf(self._rows, row)
            self._leave(self._chunk)
        return None

    def _read(self) -> None:
        shard = int(self.order.of(self.standing.epoch)[self.lane + self.standing.turn * self.lanes])
        chunk = self.reader.chunk(shard, self.standing.place, BUDGET)
        if chunk.faults and not self.skip_faulty:
            raise DataError(chunk.faults[:20])
        self._chunk, self._rows = chunk, self.encode(chunk.documents) if chunk.documents else None

    def _leave(self, chunk: Chunk) -> None:
        """Stand behind the chunk."""
        standing, self._chunk, self._rows = self.standing, None, None
        read, skipped = standing.read + chunk.read, standing.skipped + len(chunk.faults)
        if not chunk.ended:
            self.standing = replace(standing, place=chunk.place, row=0, read=read, skipped=skipped, begun=0)
            return
        turn, epoch = standing.turn + 1, standing.epoch
        if self.lane + turn * self.lanes >= self.source.shards:
            turn, epoch = 0, epoch + 1
        self.standing = Standing(epoch, turn, START, 0, read, skipped)
