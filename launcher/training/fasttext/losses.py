"""From the mean of a line's rows to its labels, by the losses of fastText's classifier. numpy only.

The library orders labels by log(p + 1e-5) in float32, and says exp of that: its probabilities are 1e-5 too large.
Among equal ones its heap decides, and Python's works as that does.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from launcher.training.fasttext.settings import Loss

_LEAST = 1e-5
_WIDEST = 8
"""Beyond it the library's table of the logistic function is 0 and 1."""
_FLAT = 88.0
"""Beyond it exp is not in float32."""
_TABLE = 512
_NUMBERS = 2**22
"""Scores that are held together."""


class Scored(NamedTuple):
    """A label's number and its log-probability; smaller means less probable, whatever the label."""

    score: float
    label: int

    def __lt__(self, other: tuple[object, ...]) -> bool:
        return self.score < other[0]  # type: ignore[operator]


class Classifier(Protocol):
    """What predicts labels."""

    def best(self, hidden: np.ndarray, k: int, threshold: float) -> Iterator[list[Scored]]:
        """Of each row of `hidden` (float32 [lines, dimension]) the best k labels, at least the threshold, in order."""


def classifier(loss: Loss, output: np.ndarray, counts: np.ndarray) -> Classifier:
    """For a model's output matrix (float32 [labels, dimension]) and how often each label occurred (int64 [labels])."""
    if loss == "hierarchical softmax":
        return Tree(output, counts)
    return Flat(output, softmax=loss == "softmax")


class Flat:
    """A score for each label: softmax, or a logistic function for each."""

    def __init__(self, output: np.ndarray, softmax: bool):
        self.output, self.softmax = output, softmax

    def best(self, hidden: np.ndarray, k: int, threshold: float) -> Iterator[list[Scored]]:
        """See `Classifier`."""
        size = max(1, _NUMBERS // len(self.output))
        for start in range(0, len(hidden), size):
            block = hidden[start : start + size]
            given = _softmax(block @ self.output.T) if self.softmax else logistic(_products(block, self.output))
            logs = np.log(given.astype(np.float64) + _LEAST).astype(np.float32)
            logs[given < np.float32(threshold)] = -np.inf
            for row in logs:
                yield _best(row, k)


def _products(hidden: np.ndarray, output: np.ndarray) -> np.ndarray:
    """hidden @ output.T, each sum taken from its first term to its last, as the library does.

    The table of the logistic function has steps, and another order of the sum would fall to the other side of some.
    """
    scores = np.zeros((len(hidden), len(output)), dtype=np.float32)
    for left, right in zip(hidden.T, output.T, strict=True):
        scores += left[:, None] * right
    return scores


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    given: np.ndarray = powers / powers.sum(1, keepdims=True)
    return given


def logistic(scores: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) out of the library's table of 513 values, float32; 0 where x is no number."""
    scores = np.where(np.isnan(scores), np.float32(-np.inf), scores)
    places = np.arange(_TABLE + 1, dtype=np.float32) * 2 * _WIDEST / _TABLE - _WIDEST
    table = (1 / (1 + np.exp(-places))).astype(np.float32)
    inside = np.clip(scores, -_WIDEST, _WIDEST)
    found = table[((inside + np.float32(_WIDEST)) * _TABLE / _WIDEST / 2).astype(np.int64)]
    return np.where(scores < -_WIDEST, np.float32(0), np.where(scores > _WIDEST, np.float32(1), found))


def _best(logs: np.ndarray, k: int) -> list[Scored]:
    """The best k labels of one line; those that are out have a score of minus infinity."""
    order = np.argpartition(-logs, k)[: k + 1] if k + 1 < len(logs) else np.arange(len(logs))
    order = order[np.argsort(-logs[order], kind="stable")]
    ordered = logs[order]
    if len(order) and (ordered[1:] == ordered[:-1]).any():
        heap: list[Scored] = []
        for label, score in enumerate(logs.tolist()):
            _push(heap, Scored(score, label), k)
        return _sorted(heap)
    return [Scored(*pair) for pair in zip(ordered[:k].tolist(), order[:k].tolist(), strict=True) if pair[0] > -math.inf]


def _push(heap: list[Scored], item: Scored, k: int) -> None:
    if item.score == -math.inf or (len(heap) == k and item.score < heap[0].score):
        return
    heapq.heappush(heap, item)
    if len(heap) > k:
        heapq.heappop(heap)


def _sorted(heap: list[Scored]) -> list[Scored]:
    return [heapq.heappop(heap) for _ in range(len(heap))][::-1]


def _rounded(number: float) -> float:
    return float(np.float32(number))


def _log(probability: float) -> float:
    return _rounded(math.log(probability + _LEAST))


class Tree:
    """Hierarchical softmax: a Huffman tree of the labels' counts, built as the library does (buildTree in loss.cc).

    Scores are rounded where the library rounds them: by 1 - p it tells improbable labels apart that hardly differ.
    """

    def __init__(self, output: np.ndarray, counts: np.ndarray):
        self.output, self.labels = output, len(counts)
        weights = [*counts.tolist(), *[10**15] * (self.labels - 1)]
        self.children: list[tuple[int, int]] = []
        leaf, node = self.labels - 1, self.labels
        for made in range(self.labels, 2 * self.labels - 1):
            pair = []
            for _ in range(2):
                if leaf >= 0 and weights[leaf] < weights[node]:
                    pair.append(leaf)
                    leaf -= 1
                else:
                    pair.append(node)
                    node += 1
            weights[made] = weights[pair[0]] + weights[pair[1]]
            self.children.append((pair[0], pair[1]))

    def best(self, hidden: np.ndarray, k: int, threshold: float) -> Iterator[list[Scored]]:
        """See `Classifier`."""
        least = _log(max(0.0, threshold))
        for row in hidden:
            yield self._best(row, k, least)

    def _best(self, hidden: np.ndarray, k: int, least: float) -> list[Scored]:
        """Down the tree from its root, left before right, and not below what is worse than the best k so far."""
        heap: list[Scored] = []
        waiting = [(0.0, 2 * self.labels - 2)]
        while waiting:
            score, node = waiting.pop()
            if score < least or (len(heap) == k and score < heap[0].score):
                continue
            if node < self.labels:
                _push(heap, Scored(score, node), k)
                continue
            inner = node - self.labels
            power = _rounded(math.exp(-min(_FLAT, max(-_FLAT, float(self.output[inner] @ hidden)))))
            right = _rounded(1 / _rounded(1 + power))
            for odds, child in zip((right, _rounded(1 - right)), reversed(self.children[inner]), strict=True):
                waiting.append((_rounded(score + _log(odds)), child))
        return _sorted(heap)
