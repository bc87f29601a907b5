"""Which rows of the input matrix a word has, and which a line of text. numpy only."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from launcher.training.batches.split import Ragged
from launcher.training.fasttext.hashing import as_bytes, bucket, ngram_keys, word_hashes
from launcher.training.fasttext.settings import Settings
from launcher.training.fasttext.subwords import END_OF_LINE

LABEL = "__label__"
"""How labels begin: files do not say it, so the library takes its default when it reads one."""
_TOKEN = re.compile("[^ \n\r\t\v\f\0]+")


class Rows:
    """The rows of words and lines, as the official library numbers them: words, then the buckets of n-grams.

    `entries` are the words and then the labels, in the order of their rows. `kept`, of a pruned model, int64
    [n-grams, 2]: buckets, sorted, and the rows behind those of the words that they have; all others have none.
    """

    def __init__(self, settings: Settings, entries: Sequence[bytes], words: int, kept: np.ndarray | None = None):
        self.settings, self.words, self.kept = settings, words, kept
        # where a file has a word twice, the library finds the later one
        self.number = {entry: number for number, entry in enumerate(entries)}

    def known(self, words: Sequence[str]) -> np.ndarray:
        """Of each word its own row, int64 [words], -1 where it has none."""
        find = self.number.get
        places = np.fromiter((find(word, -1) for word in as_bytes(words)), np.int64, len(words))
        return np.where(places < self.words, places, -1)

    def of_words(self, words: Sequence[str]) -> Ragged:
        """A known word's own row first, then those of its n-grams; those that pruning took away are left out."""
        own = self.known(words)
        ngrams = self._kept(self.settings.subwords.of(words))
        has = own >= 0
        offsets = ngrams.offsets + np.concatenate([[0], np.cumsum(has)])
        values = np.empty(int(offsets[-1]), dtype=np.int64)
        values[offsets[:-1][has]] = own[has]
        values[np.arange(len(ngrams.values)) + np.repeat(np.cumsum(has), ngrams.lengths)] = self.words + ngrams.values
        return Ragged(values, offsets)

    def of_lines(self, texts: Sequence[str]) -> Ragged:
        """The rows of a text's words and of its n-grams of words (Dictionary::getLine); labels have none.

        A line break counts as a blank, and the end of the text as the word for the end of a line.
        """
        number: dict[str, int] = {}
        lines = [[number.setdefault(token, len(number)) for token in self._tokens(text)] for text in texts]
        tokens = Ragged.of(lines, np.int64)
        rows = self.of_words(list(number))
        line = np.repeat(np.arange(len(texts)), tokens.lengths)
        lengths = rows.lengths[tokens.values]
        begins = np.repeat(rows.offsets[tokens.values] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        # the rows of all words of a line come first, then those of its n-grams by their first words
        found, lines_of = [rows.values[begins + np.arange(len(begins))]], [np.repeat(line, lengths)]
        firsts = [np.full(len(begins), -1)]
        for length, ngrams in self._word_ngrams(word_hashes(list(number))[tokens.values]):
            inside = np.flatnonzero(line[: len(ngrams)] == line[length - 1 :])
            ragged = self._kept(Ragged(ngrams[inside], np.arange(len(inside) + 1)))
            found.append(self.words + ragged.values)
            firsts.append(np.repeat(inside, ragged.lengths))
            lines_of.append(line[firsts[-1]])
        all_lines = np.concatenate(lines_of)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(all_lines, minlength=len(texts)))])
        return Ragged(np.concatenate(found)[np.lexsort((np.concatenate(firsts), all_lines))], offsets)

    def _tokens(self, text: str) -> list[str]:
        """The words of a line, with the one for its end; labels are none."""
        found = []
        for token in _TOKEN.findall(text):
            if token == END_OF_LINE:
                break
            place = self.number.get(token.encode("utf-8", "surrogateescape"), -1)
            if place < self.words and (place >= 0 or not token.startswith(LABEL)):
                found.append(token)
        return [*found, END_OF_LINE]

    def _word_ngrams(self, hashes: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """For each length from 2 on: the buckets of the n-grams that begin at each token."""
        if not self.settings.buckets:
            return []
        longest = min(self.settings.word_ngrams, len(hashes))
        keys = enumerate(ngram_keys(hashes, longest), 1)
        return [(length, bucket(key, self.settings.buckets)) for length, key in keys if length > 1]

    def _kept(self, ngrams: Ragged) -> Ragged:
        """Of buckets, those that pruning kept, by the rows that they have now."""
        if self.kept is None:
            return ngrams
        if not len(self.kept):
            return Ragged(ngrams.values[:0], np.zeros_like(ngrams.offsets))
        place = np.minimum(np.searchsorted(self.kept[:, 0], ngrams.values), len(self.kept) - 1)
        there = self.kept[place, 0] == ngrams.values
        before = np.concatenate([[0], np.cumsum(there)])
        return Ragged(self.kept[place[there], 1], before[ngrams.offsets])
