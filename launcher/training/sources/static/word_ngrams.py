"""The rows of fastText's own classifier: of words, of their subwords, and of n-grams of words. numpy only."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from launcher.recipe.source import FastTextClassifier
from launcher.training.fasttext.hashing import word_hashes
from launcher.training.fasttext.subwords import END_OF_LINE, Subwords
from launcher.training.sources.static.ngrams import Numbering, inside
from launcher.training.sources.static.subword_rows import SubwordRows
from launcher.training.sources.static.table import Table
from launcher.training.sources.static.vocabulary import Words


def numbering(hashes: np.ndarray, source: FastTextClassifier) -> Numbering:
    """Which bucket each n-gram of words has, counted on from the last token."""
    return Numbering(source.word_ngrams, hashes, source.buckets)


def table(source: FastTextClassifier, words: Words, sentences: Iterable[str | tuple[str, ...]]) -> Table:
    """The rows that the training split names; each text ends with fastText's own end of a line, which is a word."""
    number: dict[str, int] = {}
    lines = []
    for line in words.cut(sentences):
        kept = [*line[: source.max_length - 1], END_OF_LINE]
        lines.append(np.array([number.setdefault(token, len(number)) for token in kept], dtype=np.int64))
    words.counts[END_OF_LINE] += len(lines)
    words.end = END_OF_LINE
    tokens, own = words.known(least=1), words.known()
    subwords = Subwords(source.shortest_subword, source.longest_subword, source.buckets)
    offsets = np.cumsum([0, *map(len, lines)])
    counted = numbering(word_hashes(list(number)), source)
    found = [subwords.of(tokens).values]
    for length, (_, keys) in enumerate(inside(np.concatenate(lines), offsets, counted), 1):
        if length > 1:
            found.append(np.unique(keys) - len(number))
    rows = SubwordRows.of(subwords, tokens, own, np.unique(np.concatenate(found)))
    counts = {"rows_of_words": rows.own, "rows_of_n-grams": len(rows.buckets)}
    return Table(None, counts, tokens, rows)
