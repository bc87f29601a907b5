"""What can be drawn of a result: plain values, which a task gives and the report draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NOTHING = "(nothing)"
"""Row of what was told and is not there; column of what is there and was not told."""


@dataclass(frozen=True)
class Confusion:
    """What was taken for what: `counts[gold, told]`; both sides have the same names in the same order."""

    of: str
    names: list[str]
    counts: np.ndarray


@dataclass(frozen=True)
class AgainstTheRest:
    """For each class, whether each target is of it (bool), and the probability that it was given."""

    of: str
    classes: Mapping[str, tuple[np.ndarray, np.ndarray]]


View = Confusion | AgainstTheRest


def of_targets(of: str, gold: np.ndarray, told: np.ndarray, labels: Sequence[str]) -> Confusion:
    """Counts of int [targets] class numbers."""
    size = len(labels)
    counts = np.bincount(gold.astype(np.int64) * size + told, minlength=size * size).reshape(size, size)
    return Confusion(of, list(labels), counts)


def of_entities(gold: Iterable[Sequence[str]], told: Iterable[Sequence[str]]) -> Confusion:
    """Counts of entities from the BIO tags of each sentence: only the same words are the same entity."""
    from seqeval.metrics.sequence_labeling import get_entities

    pairs: dict[tuple[str, str], int] = {}
    for gold_tags, told_tags in zip(gold, told, strict=True):
        there, said = (
            {(first, last): kind for kind, first, last in get_entities(list(tags))} for tags in (gold_tags, told_tags)
        )
        for span in there.keys() | said.keys():
            pair = (there.get(span, NOTHING), said.get(span, NOTHING))
            pairs[pair] = pairs.get(pair, 0) + 1
    names = [*sorted({name for pair in pairs for name in pair} - {NOTHING}), NOTHING]
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for (row, column), count in pairs.items():
        counts[names.index(row), names.index(column)] = count
    return Confusion("entities", names, counts)
