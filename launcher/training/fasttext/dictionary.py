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
        block = data[position : position + _BLOCK]
        first, ends = len(names), _take_names(block, names, entries)
        if not ends:
            whole = len(block) == _BLOCK
            raise Unusable(f"entry {first + 1:,} of its dictionary has no end" if whole else "it ends in the middle")
        behind = np.frombuffer(block, np.uint8)[np.array(ends)[:, None] + np.arange(1, _BEHIND + 1)]
        found = counts[first : len(names)]
        found[:] = np.ascontiguousarray(behind[:, :8]).view("<i8")[:, 0]
        wrong = (behind[:, 8] != (np.arange(first, len(names)) >= words)) | (found < 0) | (found >= MOST_TOKENS)
        if wrong.any():
            number = int(np.argmax(wrong))
            what = f"count = {found[number]:,}, kind = {behind[number, 8]}"
            raise Unusable(f"entry {first + number + 1:,} of its dictionary says {what}")
        position += ends[-1] + _BEHIND + 1
    if counts.sum(dtype=np.float64) >= MOST_TOKENS:
        raise Unusable(f"its dictionary says {int(counts.sum(dtype=np.float64)):,} tokens")
    return names, counts, position


def _take_names(block: bytes, names: list[bytes], most: int) -> list[int]:
    """Append the names of the whole entries in this part of the file, to at most so many; their NULs' places."""
    ends: list[int] = []
    start = 0
    while len(names) < most:
        end = block.find(b"\0", start, start + LONGEST_WORD + 1)
        if end < 0 or end + _BEHIND >= len(block):
            break
        names.append(block[start:end])
        ends.append(end)
        start = end + _BEHIND + 1
    return ends


def _read_kept(data: mmap.mmap, position: int, pruned: int) -> np.ndarray:
    if position + 8 * pruned > len(data):
        raise Unusable(f"it ends in the middle of its {pruned:,} n-grams that pruning kept")
    kept = np.frombuffer(data[position : position + 8 * pruned], "<i4").reshape(-1, 2).astype(np.int64)
    kept = kept[np.argsort(kept[:, 0], kind="stable")]
    if pruned and (kept.min() < 0 or (np.diff(kept[:, 0]) == 0).any()):
        raise Unusable("the n-grams that pruning kept have numbers below 0, or one of them twice")
    return kept
