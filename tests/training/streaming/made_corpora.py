"""Corpora of a few kilobytes that are streamed in shards of a few bytes, and ranks that are threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from launcher.training.batches.rows import Draw
from launcher.training.batches.split import TOKENS, Ragged, Split
from launcher.training.data.shard_reading import Document
from launcher.training.data.shards import look_at
from launcher.training.data.stream_source import StreamSource, cut
from launcher.training.streaming.lanes import Lane, Order
from launcher.training.streaming.stream import STANDING, Stream, StreamedRows

WORDS = ("天", "地", "river", "玄黄", "of", "stone", "宇宙洪荒", "a", "\u3000", "light")


def texts(count: int, seed: int = 0) -> list[str]:
    """Different documents of 1 to 30 words."""
    draw = np.random.default_rng(seed)
    return [f"{number}: " + " ".join(draw.choice(WORDS, draw.integers(1, 30))) for number in range(count)]


def source_of(
    paths: list[Path],
    unit: int = 200,
    documents: str = "lines",
    name: str = "corpus",
    weight: float = 1.0,
    encoding: str = "utf-8",
) -> StreamSource:
    """These files as a source whose shards have `unit` bytes."""
    files = [look_at(str(path), path.name, documents, "text", encoding) for path in paths]
    return StreamSource(name, weight, cut(files, unit), unit, documents, "text", {})


def encode(documents: list[Document]) -> Split:
    """Each document as rows of at most 20 bytes."""
    rows = [
        (n, d.text.encode()[i : i + 20]) for n, d in enumerate(documents) for i in range(0, len(d.text.encode()), 20)
    ]
    ids = Ragged.of([row for _, row in rows], np.int32)
    return Split({TOKENS: ids}, {"tokens": ids.lengths}, ids.lengths, np.array([number for number, _ in rows]))


def lane_of(source: StreamSource, lane: int = 0, lanes: int = 1, passes: int = 1) -> Lane:
    """One lane of a source, in the order of seed 0."""
    return Lane(source, Order(source.shards, 0, 0), lane, lanes, passes, encode)


def stream_of(*sources: StreamSource, batch_size: int = 4, passes: int = 1, seed: int = 0) -> Stream:
    """These sources in batches."""
    return Stream(sources, batch_size, seed, passes, False, encode, ("tokens",), targets)


def targets(split: Split, rows: np.ndarray, draw: Draw) -> dict[str, int]:
    """All tokens of these rows."""
    return {"tokens": int(split.targets["tokens"][rows].sum())}


class Meeting:
    """Sums over ranks that are threads of this process."""

    def __init__(self, size: int):
        self.barrier, self.given = threading.Barrier(size, timeout=30), dict[int, np.ndarray]()

    def summed(self, rank: int, values: np.ndarray) -> np.ndarray:
        self.given[rank] = values
        self.barrier.wait()
        total = np.sum(list(self.given.values()), axis=0)
        self.barrier.wait()
        return total


class OneOf:
    """One of several ranks."""

    def __init__(self, rank: int, size: int, meeting: Meeting):
        self.rank, self.size, self.meeting = rank, size, meeting

    def summed(self, values: np.ndarray) -> np.ndarray:
        return self.meeting.summed(self.rank, values)


def on_ranks(size: int, work: Callable[[OneOf], object]) -> list[object]:
    """What `work` gives on each of so many ranks."""
    meeting, results, errors = Meeting(size), dict[int, object](), list[BaseException]()

    def run(rank: int) -> None:
        try:
            results[rank] = work(OneOf(rank, size, meeting))
        except BaseException as error:
            errors.append(error)
            meeting.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[rank] for rank in range(size)]


def rows_of(stream: Stream, ranks: OneOf, steps: range, standings: np.ndarray | None = None) -> StreamedRows:
    """The rows of these steps, by step and slot, in `taken`; and all that is left to ask for."""
    rows = StreamedRows(stream, ranks, 1, encode([Document("x", "")]))
    if standings is not None:
        rows.restore({STANDING: standings})
    rows.taken = {}
    for number in steps:
        step = rows.step(number)
        if step is None:
            break
        ids = step.split.ragged(TOKENS)
        counting = [slot for part in step.parts if part.counts for slot in part.rows.tolist()]
        rows.taken |= {(number, slot): ids.row(slot).astype(np.uint8).tobytes() for slot in counting}
        rows.targets = {**getattr(rows, "targets", {}), number: step.targets["tokens"]}
    return rows
