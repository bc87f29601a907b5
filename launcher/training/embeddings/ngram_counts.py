"""N-grams of token ids, each under one 64-bit number, and how much each tells of the label. numpy only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

FACTOR = 0x5851F42D4C957F2D
"""Knuth's multiplier (MMIX): the numbers of two different n-grams are as good as never the same."""
NGRAMS = "ngrams.safetensors"


def save_weights(
    ids: np.ndarray, offsets: np.ndarray, labels: np.ndarray, longest: int, fewest: int, folder: Path
) -> None:
    """Write folder/`ngrams.safetensors`: `keys`, int64 [n-grams], sorted, and `weights`, float32 [n-grams].

    `ids` are the training split's tokens, flat, with `offsets` [texts + 1] and class numbers `labels` [texts].
    N-grams are those of up to `longest` tokens that at least `fewest` texts hold: of one text alone an n-gram
    says nothing about others, and a vote for it would only learn that text by heart. The weight is the largest
    naive-Bayes log-count ratio of any label against the others (Wang and Manning 2012, "Baselines and Bigrams").
    """
    text, key = _distinct(ids, offsets, longest)
    keys, place, held = np.unique(key, return_inverse=True, return_counts=True)
    kept = held >= fewest
    keys, held, number = keys[kept], held[kept], np.cumsum(kept) - 1
    text, place = text[kept[place]], number[place[kept[place]]]
    weights = np.zeros(len(keys))
    for label in range(int(labels.max()) + 1):
        inside = np.bincount(place[labels[text] == label], minlength=len(keys))
        told, others = inside + 1.0, held - inside + 1.0
        weights = np.maximum(weights, np.abs(np.log((told / told.sum()) / (others / others.sum()))))
    save_file({"keys": keys, "weights": weights.astype(np.float32)}, folder / NGRAMS)


def _distinct(ids: np.ndarray, offsets: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Each (text, n-gram) that occurs, once: numbers of texts, numbers of n-grams."""
    text = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    key = ids.astype(np.int64)
    texts, keys = [text], [key]
    for length in range(2, longest + 1):
        key = key[:-1] * FACTOR + ids[length - 1 :]  # int64 wraps around, here as in torch
        within = text[: len(key)] == text[length - 1 :]
        texts.append(text[: len(key)][within])
        keys.append(key[within])
    text, key = np.concatenate(texts), np.concatenate(keys)
    order = np.lexsort((key, text))
    text, key = text[order], key[order]
    first = np.ones(len(key), dtype=bool)
    first[1:] = (text[1:] != text[:-1]) | (key[1:] != key[:-1])
    return text[first], key[first]
