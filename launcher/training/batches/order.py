"""Which rows make a step, in which order, and whose they are. numpy only.

The order is a function of (seed, epoch) alone. A rank takes its slice of each global batch, so neither the
order nor the loss depends on the number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

POOL = 100
"""Global batches whose rows are sorted by cost together: little padding, and still a good shuffle."""


@dataclass(frozen=True)
class MicroBatch:
    """Rows that one process computes at a time. `counts` is False for the filler of a rank without rows."""

    rows: np.ndarray
    counts: bool = True


def permutation(size: int, *key: int) -> np.ndarray:
    """A permutation that depends on nothing but `key`.

    Built on raw Philox output (Salmon et al. 2011), whose stream numpy keeps stable between versions.
    """
    generator = np.random.Philox(np.random.SeedSequence(key))
    return np.argsort(generator.random_raw(size), kind="stable")


def uniforms(count: int, *key: int) -> np.ndarray:
    """Numbers from 0 to below 1 that depend on nothing but `key`, float64 [count]."""
    raw = np.random.Philox(np.random.SeedSequence(key)).random_raw(count)
    numbers: np.ndarray = (raw >> np.uint64(11)) * 2.0**-53
    return numbers


def global_batches(cost: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The epoch's global batches, each sorted by falling cost; only one of them may be short."""
    order = permutation(len(cost), seed, epoch, 0)
    batches: list[np.ndarray] = []
    for start in range(0, len(order), POOL * batch_size):
        pool = order[start : start + POOL * batch_size]
        pool = pool[np.argsort(-cost[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in permutation(len(batches), seed, epoch, 1)]


def share(batch: np.ndarray, rank: int, world_size: int, micro_batch_size: int) -> list[MicroBatch]:
    """This rank's micro-batches of a global batch; every rank gets equally many.

    Rows come sorted by cost, and ranks take every `world_size`-th, so that they compute equally long. Micro-batches
    part a share likewise: those of one process are the shares of as many ranks. A rank that would get none
    computes the batch's first row with weight zero, because a collective waits for all.
    """
    mine = batch[rank::world_size]
    count = math.ceil(math.ceil(len(batch) / world_size) / micro_batch_size)
    parts = [mine[number::count] for number in range(count)]
    return [MicroBatch(part) if len(part) else MicroBatch(batch[:1], counts=False) for part in parts]


def evaluation_batches(cost: np.ndarray, batch_size: int, rank: int, world_size: int) -> Iterator[MicroBatch]:
    """This rank's rows, each row on exactly one rank, similar costs together; equally many parts."""
    order = np.argsort(-cost, kind="stable")
    for start in range(0, len(order), batch_size * world_size):
        yield from share(order[start : start + batch_size * world_size], rank, world_size, batch_size)
