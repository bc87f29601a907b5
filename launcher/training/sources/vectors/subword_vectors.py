"""The rows of a fastText model that a training split needs, those of its subwords, scaled to learn well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from launcher.errors import DataError, Problem
from launcher.training.fasttext.model_file import FastTextFile
from launcher.training.sources.static.subword_rows import SubwordRows
from launcher.training.sources.static.table import VECTOR_DEVIATION, Table
from launcher.training.sources.static.vocabulary import Words


def table(model: FastTextFile, words: Words) -> Table:
    """The rows of all that the counted words name in the model: words that it knows and are seen often enough, and the
    subwords of all. Raises DataError for a quantised model.
    """
    if model.quantised:
        what = f"{model.path.name} is quantised: its rows are codes, which cannot train"
        do = "give the .bin that it was made from, or leave embedding.subword_rows out"
        raise DataError(Problem(what, str(model.path), do))
    numbers = {word: number for number, word in enumerate(model.words)}
    tokens, own = words.known(least=1), [word for word in words.known() if word in numbers]
    subwords = model.settings.subwords
    rows = SubwordRows.of(subwords, tokens, own)
    taken = np.concatenate([np.array([numbers[word] for word in own], dtype=np.int64), len(numbers) + rows.buckets])
    values = np.zeros((rows.size, model.settings.dimension), dtype=np.float32)
    values[1:] = model.input.rows(taken)
    scale = _scale(values, rows, len(tokens))
    counts = {"rows_of_words": rows.own, "rows_of_subwords": len(rows.buckets)}
    return Table(values * np.float32(scale), counts, tokens, replace(rows, scale=scale))


def _scale(values: np.ndarray, rows: SubwordRows, tokens: int) -> float:
    """What brings the vectors of the training split's tokens to the usual deviation: fastText's own are larger, and
    learn more slowly.
    """
    deviation = float(means(values, rows)[-tokens:].std()) if tokens else 0.0
    return VECTOR_DEVIATION / deviation if deviation else 1.0


def means(values: np.ndarray, rows: SubwordRows) -> np.ndarray:
    """The vector of every token, float32 [tokens, dimension]."""
    found = np.zeros((len(rows.counts), values.shape[1]), dtype=np.float32)
    there = np.flatnonzero(rows.rows.lengths)
    if len(there):
        # the rows of tokens that have none are empty, so those of the others follow each other
        found[there] = np.add.reduceat(values[rows.rows.values], rows.rows.offsets[there], axis=0)
    found /= np.maximum(rows.counts, 1)[:, None].astype(np.float32)
    return found
