"""From what a model says of words to vectors that train well: centred, reduced, of one length, weighted, scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from launcher.training.sources.static.table import VECTOR_DEVIATION

if TYPE_CHECKING:
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.float64]

SMOOTHING = 1e-3
"""The a of SIF weights."""


def reduced(vectors: Vectors, dimension: int, centre: bool) -> Vectors:
    """These rows as their first `dimension` principal components, [rows, dimension]; centred before if asked."""
    rows = vectors.astype(np.float64)
    if centre and len(rows):
        rows -= rows.mean(axis=0)
    _, directions = np.linalg.eigh(rows.T @ rows)
    kept = directions[:, ::-1][:, :dimension]
    kept *= np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(kept.shape[1])])  # either way is as good: take one
    found: Vectors = (rows @ kept).astype(np.float32)
    return found


def of_one_length(vectors: Vectors) -> Vectors:
    """Each row divided by its length."""
    found: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found


def weights(counts: Numbers, weighting: Literal["zipf", "sif"] | None) -> Numbers:
    """[words], by how often each was seen: rare ones weigh more."""
    if weighting is None or not len(counts):
        return np.ones(len(counts))
    if weighting == "sif":
        return SMOOTHING / (SMOOTHING + counts / max(1.0, float(counts.sum())))
    ranks = np.empty(len(counts))
    ranks[np.argsort(-counts, kind="stable")] = np.arange(1, len(counts) + 1)
    return np.log1p(ranks)


def scaled(vectors: Vectors, deviation: float = VECTOR_DEVIATION) -> Vectors:
    """All numbers by one factor, such that they have this standard deviation."""
    present = float(vectors.std(dtype=np.float64)) if vectors.size else 0.0
    return vectors if present == 0 else (vectors * (deviation / present)).astype(np.float32)


def drawn_like(vectors: Vectors, count: int) -> Vectors:
    """Random rows [count, width] with the mean and the deviation of these, number by number (Kim 2014).

    From a generator of its own seed, so that they are a function of the rows.
    """
    mean, deviation = vectors.mean(axis=0, dtype=np.float64), vectors.std(axis=0, dtype=np.float64)
    return np.random.default_rng(0).normal(mean, deviation, (count, vectors.shape[1])).astype(np.float32)
