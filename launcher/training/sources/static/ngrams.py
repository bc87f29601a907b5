"""N-grams of token ids, each under one number, and how much each tells of the label. numpy only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from launcher.errors import DataError, Problem
from launcher.recipe.beside import NgramBag
from launcher.training.fasttext.hashing import bucket, ngram_keys, word_hashes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from launcher.training.batches.split import Split

FACTOR = 0x5851F42D4C957F2D
"""Knuth's multiplier (MMIX): the numbers of two different n-grams are as good as never the same."""
NGRAMS = "ngrams.safetensors"


@dataclass(frozen=True)
class Numbering:
    """What number an n-gram of up to `longest` tokens has, for arrays of numpy and tensors of torch alike.

    A single token has its id. Several have a 64-bit number of their own, or, with `buckets`, that of the bucket
    into which fastText's hash puts them, counted on from the last id; `hashes` are those of the tokens, by id.
    """

    longest: int
    hashes: Any = None
    buckets: int | None = None

    def numbers(self, ids: Any) -> Iterator[Any]:
        """int64 [..., tokens] to [..., tokens - length + 1], for each length from 1 on."""
        if self.buckets is None:
            yield from ngram_keys(ids, self.longest, FACTOR)
            return
        yield ids
        for key in islice(ngram_keys(self.hashes[ids], self.longest), 1, None):
            yield len(self.hashes) + bucket(key, self.buckets)


def save(bag: NgramBag, tokenizer: PreTrainedTokenizerFast, train: Split, folder: Path) -> dict[str, int]:
    """Save how much each n-gram of the training split tells of the label (see `save_weights`)."""
    if bag.buckets is None:
        numbering = Numbering(bag.longest)
    else:
        ids_of = tokenizer.get_vocab()
        hashes = word_hashes(sorted(ids_of, key=lambda token: ids_of[token]))
        numbering = Numbering(bag.longest, hashes, bag.buckets)
    ids, offsets = train.ragged("input_ids")
    save_weights(ids, offsets, train.array("labels"), numbering, bag.minimum_count, folder)
    return {}


def save_weights(
    ids: np.ndarray, offsets: np.ndarray, labels: np.ndarray, numbering: Numbering, fewest: int, folder: Path
) -> None:
    """Write folder/`ngrams.safetensors`: `keys`, int64 [n-grams], sorted, `weights`, float32 [n-grams], and `hashes`.

    `ids` are the training split's tokens, flat, with `offsets` [texts + 1] and class numbers `labels` [texts].
    N-grams are those of the `numbering` that at least `fewest` texts hold. The weight is the largest
    naive-Bayes log-count ratio of any label against the others (Wang and Manning 2012, "Baselines and Bigrams"),
    by the mean length of the texts' vectors of weights: one rate fits short texts and long ones.
    """
    text, key = _distinct(ids, offsets, numbering)
    keys, place, held = np.unique(key, return_inverse=True, return_counts=True)
    kept = held >= fewest
    if not kept.any():
        do = "lower minimum_count of NgramBag, or leave it out of embedding.beside"
        raise DataError(Problem(f"no n-gram stands in {fewest:,} texts of the training split", do=do))
    keys, held, number = keys[kept], held[kept], np.cumsum(kept) - 1
    text, place = text[kept[place]], number[place[kept[place]]]
    weights = np.zeros(len(keys))
    for label in range(int(labels.max()) + 1):
        inside = np.bincount(place[labels[text] == label], minlength=len(keys))
        told, others = inside + 1.0, held - inside + 1.0
        weights = np.maximum(weights, np.abs(np.log((told / told.sum()) / (others / others.sum()))))
    length = np.sqrt(np.bincount(text, weights[place] ** 2, minlength=len(labels))).mean()
    weights /= length or 1.0
    tensors = {"keys": keys, "weights": weights.astype(np.float32)}
    save_file(tensors if numbering.buckets is None else {**tensors, "hashes": numbering.hashes}, folder / NGRAMS)


def _distinct(ids: np.ndarray, offsets: np.ndarray, numbering: Numbering) -> tuple[np.ndarray, np.ndarray]:
    """Each (text, n-gram) that occurs, once: numbers of texts, numbers of n-grams."""
    texts, keys = zip(*inside(ids, offsets, numbering), strict=True)
    text, key = np.concatenate(texts), np.concatenate(keys)
    order = np.lexsort((key, text))
    text, key = text[order], key[order]
    first = np.ones(len(key), dtype=bool)
    first[1:] = (text[1:] != text[:-1]) | (key[1:] != key[:-1])
    return text[first], key[first]


def inside(ids: np.ndarray, offsets: np.ndarray, numbering: Numbering) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each length from 1 on the numbers of the n-grams of all texts, and before them those of the texts."""
    text = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    for length, key in enumerate(numbering.numbers(ids.astype(np.int64)), 1):
        within = text[: len(key)] == text[length - 1 :]
        yield text[: len(key)][within], key[within]
