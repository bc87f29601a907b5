"""What can be drawn of a result: plain values, which a task gives and the report draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

NOTHING = "(nothing)"
"""Row of what was predicted and is not there; column of what is there and was not predicted."""


@dataclass(frozen=True)
class Confusion:
    """What was taken for what: `counts[gold, predicted]`; both sides have the same names in the same order."""

    of: str
    names: list[str]
    counts: np.ndarray


@dataclass(frozen=True)
class AgainstTheRest:
    """For each class, whether each target is of it (bool), and the probability that it was given."""

    of: str
    classes: Mapping[str, tuple[np.ndarray, np.ndarray]]


class Bar(NamedTuple):
    """One bar: its name, the mean of what is measured, and of how many."""

    name: str
    mean: float
    support: int


@dataclass(frozen=True)
class Bars:
    """A mean, from 0 to 1, for each of some groups in their order. `file` is a short name of it."""

    file: str
    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Sheet:
    """Some images of the split, each with a line below it: uint8 [height, width, 3] and the line."""

    name: str
    title: str
    images: Sequence[tuple[np.ndarray, str]]


View = Confusion | AgainstTheRest | Bars | Sheet


def of_targets(of: str, gold: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> Confusion:
    """Counts of int [targets] class numbers."""
    size = len(labels)
    counts = np.bincount(gold.astype(np.int64) * size + predicted, minlength=size * size).reshape(size, size)
    return Confusion(of, list(labels), counts)


def of_entities(gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> Confusion:
    """Counts of entities from the BIO tags of each sentence: only the same words are the same entity."""
    from seqeval.metrics.sequence_labeling import get_entities

    pairs: dict[tuple[str, str], int] = {}
    for gold_tags, guess_tags in zip(gold, predicted, strict=True):
        gold_spans, predicted_spans = (
            {(first, last): kind for kind, first, last in get_entities(list(tags))} for tags in (gold_tags, guess_tags)
        )
        for span in gold_spans.keys() | predicted_spans.keys():
            pair = (gold_spans.get(span, NOTHING), predicted_spans.get(span, NOTHING))
            pairs[pair] = pairs.get(pair, 0) + 1
    names = [*sorted({name for pair in pairs for name in pair} - {NOTHING}), NOTHING]
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for (row, column), count in pairs.items():
        counts[names.index(row), names.index(column)] = count
    return Confusion("entities", names, counts)
