"""The words and labels of a fastText file, checked entry by entry. numpy only.

Layout: the numbers of entries, words, labels, tokens and pruned n-grams; each entry as its bytes, a NUL, its count and
its kind; then, in a pruned model, pairs of the bucket that an n-gram had and of its row behind those of the words.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass

import numpy as np

from launcher.training.fasttext.settings import Unusable

_NUMBERS = struct.Struct("<iiiqq")
_BEHIND = 9
"""Bytes of an entry behind its NUL: int64 count, int8 kind."""
LONGEST_WORD = 100_000
MOST_TOKENS = 10**15
"""Of all entries together, which stay below it: the official library's own end mark in the tree of their counts."""
_BLOCK = 2**20
"""Bytes that are looked at together, more than the longest word has."""


@dataclass(frozen=True)
class Dictionary:
    """What the file says of words and labels."""

    entries: list[bytes]
    """The words, then the labels."""
    words: int
    """Of the entries, the first so many."""
    counts: np.ndarray
    """int64 [entries]"""
    kept: np.ndarray | None
    """Of a pruned model, int64 [kept n-grams, 2]: the bucket, sorted, and its row behind those of the words."""


def read_dictionary(data: mmap.mmap, position: int) -> tuple[Dictionary, int]:
    """The dictionary that begins at `position`, and where it ends. Raises Unusable for one that cannot be."""
    if position + _NUMBERS.size > len(data):
        raise Unusable("it ends in the middle")
    entries, words, labels, tokens, pruned = _NUMBERS.unpack_from(data, position)
    if min(words, labels) < 0 or entries != words + labels:
        raise Unusable(f"its dictionary says {entries:,} entries, {words:,} of them words and {labels:,} labels")
    if tokens < 0:
        raise Unusable(f"its dictionary says {tokens:,} tokens")
    if pruned < -1:
        raise Unusable(f"its dictionary says pruneidx_size = {pruned:,}, and where nothing was pruned it is -1")
    position += _NUMBERS.size
    if position + entries * (_BEHIND + 1) > len(data):
        raise Unusable(f"its dictionary says {entries:,} entries, and the file has only {len(data):,} bytes")
    names, counts, position = _read_entries(data, position, entries, words)
    kept = None
    if pruned >= 0:
        kept = _read_kept(data, position, pruned)
        position += 8 * pruned
    return Dictionary(names, words, counts, kept), position


def _read_entries(data: mmap.mmap, position: int, entries: int, words: int) -> tuple[list[bytes], np.ndarray, int]:
    names: list[bytes] = []
    counts = np.empty(entries, dtype=np.int64)
    while len(names) < entries:
        size = min(_BLOCK, len(data) - position)
        block = np.frombuffer(data, np.uint8, size, position) if size else np.zeros(0, np.uint8)
        starts, ends = _ends(block, entries - len(names))
        if not len(ends):
            whole = len(block) < _BLOCK
            raise Unusable(
                "it ends in the middle" if whole else f"entry {len(names) + 1:,} of its dictionary has no end"
            )
        behind = block[ends[:, None] + np.arange(1, _BEHIND + 1)]
        done = len(names) + len(ends)
        counts[len(names) : done] = np.ascontiguousarray(behind[:, :8]).view("<i8")[:, 0]
        wrong = behind[:, 8] != (np.arange(len(names), done) >= words)
        wrong |= (counts[len(names) : done] < 0) | (counts[len(names) : done] >= MOST_TOKENS)
        wrong |= ends - starts > LONGEST_WORD
        if wrong.any():
            number = int(np.argmax(wrong))
            what = f"count = {counts[len(names) + number]:,}, kind = {behind[number, 8]}"
            what += f" and {ends[number] - starts[number]:,} bytes"
            raise Unusable(f"entry {len(names) + number + 1:,} of its dictionary says {what}")
        text = block.tobytes()
        names += [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        position += int(ends[-1]) + _BEHIND + 1
    if counts.sum(dtype=np.float64) >= MOST_TOKENS:
        raise Unusable(f"its dictionary says {int(counts.sum(dtype=np.float64)):,} tokens")
    return names, counts, position


def _ends(block: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the first entries of the block begin, and the NULs that end their names, for at most so many whole ones.

    Counts hold NULs too: an entry begins `_BEHIND` bytes behind the one that ends the entry before.
    """
    zeros = np.flatnonzero(block[: max(0, len(block) - _BEHIND)] == 0)
    following = np.searchsorted(zeros, zeros + _BEHIND + 1).tolist()
    found: list[int] = []
    number = 0
    while number < len(following) and len(found) < most:
        found.append(number)
        number = following[number]
    ends = zeros[found]
    starts = np.concatenate([[0], ends[:-1] + _BEHIND + 1]) if found else ends
    return starts, ends


def _read_kept(data: mmap.mmap, position: int, pruned: int) -> np.ndarray:
    if position + 8 * pruned > len(data):
        raise Unusable(f"it ends in the middle of its {pruned:,} n-grams that pruning kept")
    kept = np.frombuffer(data[position : position + 8 * pruned], "<i4").reshape(-1, 2).astype(np.int64)
    kept = kept[np.argsort(kept[:, 0], kind="stable")]
    if pruned and (kept.min() < 0 or (np.diff(kept[:, 0]) == 0).any()):
        raise Unusable("the n-grams that pruning kept have numbers below 0, or one of them twice")
    return kept
