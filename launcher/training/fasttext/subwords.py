"""The character n-grams of words, each as the number of its bucket (Bojanowski et al. 2017). numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from launcher.training.batches.split import Ragged
from launcher.training.fasttext.hashing import PRIME, START, as_bytes, signed

END_OF_LINE = "</s>"
"""What fastText reads at the end of a line: a word without n-grams."""
_BLOCK = 2**14
"""Words that are looked at together: what their n-grams take stays in the processor's cache."""


@dataclass(frozen=True)
class Subwords:
    """The n-grams of `<word>` that have `shortest` to `longest` characters, hashed into `buckets`.

    `<` and `>` alone are none (Dictionary::computeSubwords). A model without subwords has `longest` or `buckets` 0.
    """

    shortest: int
    longest: int
    buckets: int

    def of(self, words: Sequence[str]) -> Ragged:
        """The buckets of each word's n-grams, int64, in the official order: by first character, then by length."""
        if not words or not self.buckets or max(self.shortest, 1) > self.longest:
            return Ragged(np.zeros(0, dtype=np.int64), np.zeros(len(words) + 1, dtype=np.int64))
        blocks = [self._block(words[start : start + _BLOCK]) for start in range(0, len(words), _BLOCK)]
        values = np.concatenate([found for found, _ in blocks])
        offsets = np.zeros(len(words) + 1, dtype=np.int64)
        np.cumsum(np.concatenate([counts for _, counts in blocks]), out=offsets[1:])
        return Ragged(values, offsets)

    def _block(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The buckets of these words, flat, and how many each word has."""
        encoded = as_bytes(words)
        data = np.frombuffer(b"<" + b"><".join(encoded) + b">", dtype=np.uint8)
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)) + 2)
        # a character begins at every byte that continues none
        places = np.flatnonzero((data & 0xC0) != 0x80)
        last = np.searchsorted(places, ends)  # of each word's characters, the number behind them
        first = np.concatenate([[0], last[:-1]])
        word = np.repeat(np.arange(len(words)), last - first)
        left = last[word] - np.arange(len(places))  # characters from here to the word's end
        alone = left == 1
        alone[first] = True
        left[np.isin(word, [number for number, word in enumerate(words) if word == END_OF_LINE])] = 0
        lengths = np.arange(max(self.shortest, 1), min(self.longest, int(left.max())) + 1)
        if not len(lengths):
            return np.zeros(0, dtype=np.int64), np.zeros(len(words), dtype=np.int64)
        inside = lengths <= left[:, None]
        if lengths[0] == 1:
            inside[:, 0] &= ~alone
        hashes = _hashes(signed(data), places, lengths)
        counts = np.add.reduceat(inside.sum(1), first)
        return (hashes[inside] % np.uint32(self.buckets)).astype(np.int64), counts


def _hashes(data: np.ndarray, places: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Of the n-grams of these lengths that begin at each character, uint32 [characters, lengths].

    Those that reach into the next word are worth nothing: whoever asks leaves them out.
    """
    widths = np.diff(places, append=len(data))
    wider, taken = [], np.flatnonzero(widths > 1)
    while len(taken):
        wider.append(taken)
        taken = taken[widths[taken] > len(wider) + 1]
    first = data[places]
    state = np.full(len(places), START)
    found = np.empty((len(places), len(lengths)), dtype=np.uint32)
    for length in range(1, int(lengths[-1]) + 1):
        # `state` is that of the n-grams that begin at a character; they take in the one at `length - 1` behind it
        whole = len(places) - length + 1
        state = (state[:whole] ^ first[length - 1 :]) * PRIME
        for more, characters in enumerate(wider, 1):
            taken = characters[np.searchsorted(characters, length - 1) :]
            begin = taken - (length - 1)
            state[begin] = (state[begin] ^ data[places[taken] + more]) * PRIME
        if length >= lengths[0]:
            found[:whole, length - lengths[0]] = state
    return found
