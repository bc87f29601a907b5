"""fastText's hash: FNV-1a of 32 bits. numpy only.

A byte above 127 counts as a negative number (Dictionary::hash takes it for a `char`), so it changes the upper
24 bits as well. Published models depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

START = np.uint32(2166136261)
PRIME = np.uint32(16777619)
MULTIPLIER = 116049371
"""Of n-grams of words (Dictionary::addWordNgrams)."""


def as_bytes(words: Sequence[str]) -> list[bytes]:
    """The bytes of each word in UTF-8; those of a model's word that is no UTF-8 are kept (as surrogates)."""
    return [word.encode("utf-8", "surrogateescape") for word in words]


def signed(data: np.ndarray) -> np.ndarray:
    """Bytes (uint8) as the hash counts them, uint32: those above 127 have all upper bits set."""
    return data.view(np.int8).astype(np.int32).view(np.uint32)


def word_hashes(words: Sequence[str]) -> np.ndarray:
    """fastText's hash of each word, int64 [words], with a sign, as it keeps it where it counts n-grams of words."""
    encoded = as_bytes(words)
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    order = np.argsort(-lengths, kind="stable")
    starts = (np.cumsum(lengths) - lengths)[order]
    data = signed(np.frombuffer(b"".join(encoded), dtype=np.uint8))
    longer = len(words) - np.searchsorted(np.sort(lengths), np.arange(lengths.max(initial=0)), side="right")
    found = np.full(len(words), START)
    # the longest words come first, so those that have a byte more are always the first `count` of them
    for place, count in enumerate(longer.tolist()):
        found[:count] = (found[:count] ^ data[starts[:count] + place]) * PRIME
    hashes = np.empty(len(words), dtype=np.int64)
    hashes[order] = found.view(np.int32)
    return hashes


def ngram_keys(single: Any, longest: int, factor: int = MULTIPLIER) -> Iterator[Any]:
    """int64 [..., tokens] to [..., tokens - length + 1] for each length from 1 on: keys out of tokens' own.

    Arrays of numpy and tensors of torch alike: int64 wraps around in both.
    """
    yield single
    key = single
    for length in range(2, longest + 1):
        key = key[..., :-1] * factor + single[..., length - 1 :]
        yield key


def bucket(key: Any, buckets: int) -> Any:
    """The remainder of a 64-bit number without sign, which int64 holds with one."""
    return (key % buckets + (key < 0) * (2**64 % buckets)) % buckets
