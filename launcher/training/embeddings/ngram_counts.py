"""Hashed n-grams of token ids, as fastText hashes them, and how much each tells of the label. numpy only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HASH_FACTOR = 116049371
"""That of fastText's dictionary."""
NGRAMS = "ngrams.safetensors"


def save_weights(
    ids: np.ndarray, offsets: np.ndarray, labels: np.ndarray, longest: int, buckets: int, fewest: int, folder: Path
) -> None:
    """Write folder/`ngrams.safetensors`: `weights`, float32 [buckets], how much an n-gram tells of the label.

    `ids` are the training split's tokens, flat, with `offsets` [texts + 1] and class numbers `labels` [texts].
    The weight is the largest naive-Bayes log-count ratio of any label against the others (Wang and Manning
    2012, "Baselines and Bigrams"), 0 where fewer than `fewest` texts hold the n-gram: of one text alone it says
    nothing about others, and a vote for it would only learn that text by heart.
    """
    text, place = _distinct(ids, offsets, longest, buckets)
    held = np.bincount(place, minlength=buckets)
    weights = np.zeros(buckets)
    for label in range(int(labels.max()) + 1):
        inside = np.bincount(place[labels[text] == label], minlength=buckets)
        told, others = inside + 1.0, held - inside + 1.0
        ratio = np.abs(np.log((told / told[held >= fewest].sum()) / (others / others[held >= fewest].sum())))
        weights = np.maximum(weights, ratio)
    weights[held < fewest] = 0.0
    save_file({"weights": weights.astype(np.float32)}, folder / NGRAMS)


def _distinct(ids: np.ndarray, offsets: np.ndarray, longest: int, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """Each (text, bucket) that occurs, once."""
    text = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    hashed = ids.astype(np.int64)
    pairs = [text * buckets + hashed % buckets]
    for length in range(2, longest + 1):
        hashed = hashed[:-1] * HASH_FACTOR + ids[length - 1 :]
        within = text[: len(hashed)] == text[length - 1 :]
        pairs.append((text[: len(hashed)] * buckets + hashed % buckets)[within])
    text, place = np.divmod(np.unique(np.concatenate(pairs)), buckets)
    return text, place
