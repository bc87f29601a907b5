"""Which tokens of a row are hidden, and behind what: a function of the row's tokens, the seed and the epoch."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

from launcher.training.batches.order import uniforms
from launcher.training.tasks.base import Draw

MASKED, RANDOM = 0.8, 0.9
"""Below the first a hidden token becomes the mask, below the second any token, above it stays."""


class Hidden(NamedTuple):
    """Of one row."""

    places: np.ndarray
    """Indices of the hidden tokens, sorted, int64."""
    shown: np.ndarray
    """What stands in their place, int64."""


def key_of(tokens: np.ndarray, draw: Draw | None, salt: int) -> tuple[int, ...]:
    """What a draw for this row depends on; at evaluation on nothing but its tokens."""
    when = (0, 0) if draw is None else (1 + draw.seed, draw.epoch)
    return (*when, zlib.crc32(np.ascontiguousarray(tokens, dtype=np.int64).tobytes()), salt)


def places(tokens: np.ndarray, word: np.ndarray, part: float, draw: Draw | None) -> np.ndarray:
    """Indices of the tokens that are hidden, sorted, int64: of all at least one, whole words as `word` numbers them.

    Words are taken in an order that is drawn, each that still fits; so there are never more than the part.
    """
    if not len(tokens):
        return np.zeros(0, dtype=np.int64)
    room = max(1, round(part * len(tokens)))
    order = np.argsort(uniforms(int(word[-1]) + 1, *key_of(tokens, draw, 0)), kind="stable")
    sizes = np.bincount(word)[order]
    chosen, left = [], room
    for number, size in zip(order.tolist(), sizes.tolist(), strict=True):
        if size <= left:
            chosen.append(number)
            left -= size
        if not left:
            break
    if not chosen:  # every word is longer than there is room for
        chosen = [int(order[np.argmin(sizes)])]
    return np.flatnonzero(np.isin(word, chosen))


def hidden(
    tokens: np.ndarray, word: np.ndarray, part: float, draw: Draw | None, mask: int, others: np.ndarray
) -> Hidden:
    """Which tokens are hidden, and what is shown instead; `others` are the tokens that may stand there by chance."""
    at = places(tokens, word, part, draw)
    what = uniforms(2 * len(at), *key_of(tokens, draw, 1))
    kind, choice = what[: len(at)], what[len(at) :]
    by_chance = others[(choice * len(others)).astype(np.int64)]
    shown = np.where(kind < MASKED, mask, np.where(kind < RANDOM, by_chance, tokens[at]))
    return Hidden(at, shown.astype(np.int64))
