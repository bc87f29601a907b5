"""The rows of each step of a streamed corpus, one rank's part of them, made by a thread ahead of the step.

A global batch has `batch_size` slots. Which source a slot is filled from in a step is a function of (step, slot) and
the weights, and of its source it takes the next row of lane `slot % lanes`: so nobody has to know what others have
read. Rank r has the slots r, r + world, … and reads the lanes that fill them. Where a source has fewer shards than the
batch has rows, as one packed file, several ranks read a lane, and each keeps the rows of its own slots.

What only all ranks together know, the batch's number of targets and whether a source is at its end, is one small sum a
step. The state is where every lane stands.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from launcher.errors import LauncherError, Problem, WorkerError
from launcher.runs import pulse
from launcher.training.batches.order import MicroBatch
from launcher.training.batches.rows import Draw, Step, Targets
from launcher.training.batches.split import Split
from launcher.training.data.stream_source import StreamSource
from launcher.training.streaming.lanes import NUMBERS, Encode, Lane, Order, RowOf, Standing
from launcher.training.streaming.placing import placed

STANDING = "standing"
SECONDS_TO_SEEK = 1800.0
"""How long the first rows may take where what was read is unpacked or downloaded again."""
AHEAD = 4
"""Steps whose rows may wait."""
TURN = np.uint64(0x9E3779B97F4A7C15)
"""2**64 divided by the golden ratio: its multiples fall evenly between 0 and 2**64 (Weyl)."""


class Ranks(Protocol):
    """The ranks of a run, as `distributed.World` knows them."""

    @property
    def rank(self) -> int:
        """This one's number."""
        ...

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def summed(self, values: np.ndarray) -> np.ndarray:
        """The element-wise sum over all ranks, on every rank."""
        ...


@dataclass(frozen=True)
class Stream:
    """A corpus as it is streamed into global batches; the same on all ranks."""

    sources: tuple[StreamSource, ...]
    batch_size: int
    seed: int
    passes: int
    """How often a source is read; training ends where one has been."""
    skip_faulty: bool
    encode: Encode
    losses: tuple[str, ...]
    """The names of the task's losses."""
    targets: Targets

    def lanes_of(self, source: int) -> int:
        """How many lanes a source has."""
        return min(self.batch_size, self.sources[source].shards)

    @cached_property
    def firsts(self) -> np.ndarray:
        """The number of each source's first lane among all lanes; and how many there are in all."""
        return np.cumsum([0, *map(self.lanes_of, range(len(self.sources)))])

    def source_of(self, lane: int) -> int:
        """The source of a lane, by its number among all."""
        return int(np.searchsorted(self.firsts, lane, side="right")) - 1

    def sources_of(self, step: int) -> np.ndarray:
        """The source of each slot in that step, int64 [batch_size]: at any time in proportion to the weights."""
        rows = np.arange(step * self.batch_size, (step + 1) * self.batch_size, dtype=np.uint64)
        places = ((rows * TURN) >> np.uint64(11)) * 2.0**-53
        weights = np.array([source.weight for source in self.sources], np.float64)
        ends = np.cumsum(weights) / weights.sum()
        return np.minimum(np.searchsorted(ends, places, side="right"), len(weights) - 1)


@dataclass(frozen=True)
class _Made:
    """One rank's part of a step, and where its lanes stand after it."""

    split: Split
    parts: list[MicroBatch]
    targets: np.ndarray
    """Of each loss; then the rows; then, for each source, its lanes that had ended before."""
    standings: dict[int, np.ndarray]


class StreamedRows:
    """A `RowSource` of a stream."""

    def __init__(self, stream: Stream, ranks: Ranks, micro_batch_size: int, sample: Split):
        """`sample` has rows of the same task: its first one is computed, with weight zero, where a rank has none."""
        self.spare = RowOf(sample, 0)
        self.stream, self.ranks, self.micro_batch_size = stream, ranks, micro_batch_size
        self.slots = np.arange(ranks.rank, stream.batch_size, ranks.size)
        self.held = self._lanes()
        self.standings = {number: lane.standing.numbers() for number, lane in self.held.items()}
        """Of the lanes that this rank reads, after the last step that was asked for."""
        self.ended = ""
        """Why there are no more rows, once there are none."""
        self._ahead: _Ahead | None = None

    def _lanes(self) -> dict[int, Lane]:
        """The lanes that fill this rank's slots, by their number among those of all sources."""
        lanes, stream = dict[int, Lane](), self.stream
        for number, source in enumerate(stream.sources):
            count, first = stream.lanes_of(number), int(stream.firsts[number])
            order = Order(source.shards, stream.seed, number)
            for lane in sorted({int(slot) % count for slot in self.slots}):
                lanes[first + lane] = Lane(source, order, lane, count, stream.passes, stream.encode)
                lanes[first + lane].skip_faulty = stream.skip_faulty
        return lanes

    def step(self, number: int) -> Step | None:
        """See `RowSource`. A collective: all ranks ask for the same step. Raises DataError for faulty documents."""
        if self.ended:
            return None
        if self._ahead is None:
            sought = any(file.form in ("packed", "hub") for source in self.stream.sources for file in source.files)
            pulse.tick("reading the stream", allowed=SECONDS_TO_SEEK if sought else 0.0)
            self._ahead = _Ahead(self, number)
        made = self._ahead.step(number)
        losses, sources = self.stream.losses, self.stream.sources
        totals = self.ranks.summed(made.targets.copy())
        self.standings = made.standings
        over = totals[len(losses) + 1 :] == [self.stream.lanes_of(each) for each in range(len(sources))]
        if over.any() or not totals[len(losses)]:
            self.ended = self._told(sources[int(np.argmax(over))], number)
            self.close()
            return None
        targets = {name: int(total) for name, total in zip(losses, totals, strict=False)}
        draw, rows = Draw(self.stream.seed, number), np.arange(self.stream.batch_size)
        return Step(made.split, draw, made.parts, targets, int(totals[len(losses)]), rows)

    def following(self, number: int) -> None:
        """See `RowSource`: each step has a split of its own."""
        return

    def _told(self, source: StreamSource, step: int) -> str:
        passes, several = self.stream.passes, len(self.stream.sources) > 1
        name = source.name if several else "the corpus"
        times = "once" if passes == 1 else f"{passes:,} times"
        return f"the stream ended after step {step:,}: {name} was read {times}, as training.epochs says"

    def close(self) -> None:
        """End the thread, and close what is open."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def passed(self, steps: int) -> float:
        """See `RowSource`: of the source that was read most often, by the shards of this rank's lanes."""
        parts: list[list[float]] = [[] for _ in self.stream.sources]
        for number, lane in self.held.items():
            standing, of_pass = Standing.of(self.standings[number]), -(-lane.source.shards // lane.lanes)
            parts[self.stream.source_of(number)].append(standing.epoch + standing.turn / of_pass)
        return max(sum(each) / len(each) for each in parts)

    def state(self) -> dict[str, np.ndarray]:
        """See `RowSource`: where every lane stands, int64 [lanes, 7]."""
        mine = np.zeros((int(self.stream.firsts[-1]), NUMBERS), np.int64)
        for number in self._own():
            mine[number] = self.standings[number]
        return {STANDING: self.ranks.summed(mine)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """See `RowSource`."""
        self.close()
        for number, lane in self.held.items():
            self.standings[number] = state[STANDING][number]
            lane.stand(Standing.of(self.standings[number]))

    def account(self) -> dict[str, dict[str, int]]:
        """Of each source: `documents` that were read, how many of them were `skipped` as faulty, and the whole `passes`
        that all of its lanes have made. A collective.
        """
        standings, firsts, account = self.state()[STANDING], self.stream.firsts, {}
        for number, source in enumerate(self.stream.sources):
            epochs, documents, skipped, begun = standings[firsts[number] : firsts[number + 1]][:, [0, 4, 5, 6]].T
            account[source.name] = {
                "documents": int(documents.sum() + begun.sum()),
                "skipped": int(skipped.sum()),
                "passes": int(epochs.min()),
            }
        return account

    def _own(self) -> list[int]:
        """The lanes that this rank speaks for: each lane is read by the rank of the slot of its number at least."""
        stream = self.stream
        return [
            int(stream.firsts[source] + slot)
            for source in range(len(stream.sources))
            for slot in self.slots
            if slot < stream.lanes_of(source)
        ]

    def made(self, number: int) -> _Made:
        """This rank's part of a step: its lanes move on."""
        stream, given = self.stream, dict[int, RowOf]()
        counts = np.zeros(len(stream.losses) + 1 + len(stream.sources), np.int64)
        for own in self._own():
            counts[len(stream.losses) + 1 + stream.source_of(own)] += self.held[own].ended
        mine = set(self.slots.tolist())
        for slot, source in enumerate(stream.sources_of(number).tolist()):
            lane = self.held.get(int(stream.firsts[source]) + slot % stream.lanes_of(source))
            row = lane.next() if lane is not None else None
            if row is not None and slot in mine:
                given[slot] = row
        full = np.array(sorted(given), np.int64)
        split = placed({**given, stream.batch_size: self.spare}, stream.batch_size + 1)
        if len(full):
            targets = stream.targets(split, full, Draw(stream.seed, number))
            counts[: len(stream.losses)] = [targets[name] for name in stream.losses]
        counts[len(stream.losses)] = len(given)
        standings = {number: lane.standing.numbers() for number, lane in self.held.items()}
        return _Made(split, self._parts(full), counts, standings)

    def _parts(self, full: np.ndarray) -> list[MicroBatch]:
        """This rank's slots in micro-batches; those that are empty as a stream ends are left out, and where none is
        left a row that was computed before stands in with weight zero, because a collective waits for all.
        """
        count = -(-len(self.slots) // self.micro_batch_size)
        parts = [np.intersect1d(self.slots[number::count], full) for number in range(count)]
        filler = np.array([self.stream.batch_size])
        return [MicroBatch(part) if len(part) else MicroBatch(filler, counts=False) for part in parts]


class _Ahead:
    """A thread that makes the steps from one on; tokenisers work without Python's lock."""

    def __init__(self, rows: StreamedRows, first: int):
        self.rows, self.first = rows, first
        self.waiting: queue.Queue[_Made | BaseException] = queue.Queue(AHEAD)
        self.closed = False
        self.thread = threading.Thread(target=self._run, daemon=True, name="stream")
        self.thread.start()

    def _run(self) -> None:
        number = self.first
        try:
            while not self.closed:
                made = self.rows.made(number)
                self._put(made)
                number += 1
        except BaseException as error:  # raised again where the rows are asked for
            self._put(error)

    def _put(self, made: _Made | BaseException) -> None:
        while not self.closed:
            try:
                return self.waiting.put(made, timeout=0.2)
            except queue.Full:
                continue

    def step(self, number: int) -> _Made:
        """The rows of the next step."""
        assert number == self.first, f"step {number} was asked for, and {self.first} is next"
        self.first += 1
        made = self.waiting.get()
        if isinstance(made, LauncherError):
            raise made
        if isinstance(made, BaseException):
            raise WorkerError(Problem(f"the stream broke: {type(made).__name__}: {made}")) from made
        return made

    def close(self) -> None:
        """End the thread."""
        self.closed = True
        self.thread.join()
        for lane in self.rows.held.values():
            lane.reader.close()
