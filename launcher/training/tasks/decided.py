"""What is answered to each question of a split, from what was kept of its windows, and how right that is."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from launcher.training.batches.split import Split, as_array
from launcher.training.tasks.answer_scores import Definition, best_threshold, scored
from launcher.training.tasks.base import Kept
from launcher.training.tasks.windows import text_of


@dataclass(frozen=True)
class Decided:
    """Arrays and lists have an entry for each example."""

    answers: list[str]
    """'' is no answer."""
    exact: np.ndarray
    f1: np.ndarray
    margins: np.ndarray
    """By how much no answer is likelier than the best one, in logits."""
    answerable: np.ndarray
    """Whether the context has an answer, bool."""
    threshold: float | None
    """The margin above which no answer is given; None where every question gets one."""
    best: tuple[float, float] | None
    """The threshold that is the best one for these questions, and the mean F1 with it; None where all have answers."""

    @classmethod
    def of(cls, split: Split, kept: Kept, definition: Definition, threshold: float | None, choose: bool) -> Decided:
        """With this threshold, or where it is None and this may `choose` one, with the best one."""
        firsts = np.flatnonzero(np.diff(split.example, prepend=-1))
        # in double precision, as `tell` subtracts them: a threshold lies between two margins
        scores, none = (as_array(kept.values[name]).astype(np.float64) for name in ("score", "none"))
        windows = np.lexsort((-scores, split.example))[firsts]
        margins = np.minimum.reduceat(none, firsts) - scores[windows]
        spans = as_array(kept.values["span"])[windows]
        texts = [_text(split, *each) for each in zip(firsts.tolist(), windows.tolist(), spans, strict=True)]
        right: list[list[str]] = [json.loads(split.ragged("right").row(int(first)).tobytes()) for first in firsts]
        results = [scored(text, known, definition) for text, known in zip(texts, right, strict=True)]
        exact, f1 = np.array(results, dtype=np.float64).reshape(-1, 2).T
        answerable = np.array([bool(known) for known in right], dtype=bool)
        silence, best = np.where(answerable, 0.0, 1.0), None
        if not answerable.all():
            best = best_threshold(margins, f1, silence)
            threshold = best[0] if choose and threshold is None else threshold
        silent = np.zeros(len(f1), dtype=bool) if threshold is None else margins > threshold
        answers = ["" if quiet else text for text, quiet in zip(texts, silent, strict=True)]
        exact, f1 = (np.where(silent, silence, values) for values in (exact, f1))
        return cls(answers, exact, f1, margins, answerable, threshold, best)


def _text(split: Split, first: int, row: int, span: np.ndarray) -> str:
    """The context's characters from the first token of the span to the last; `first` is the example's first row."""
    if span[0] < 0:
        return ""
    begin, end = split.ragged("begins").row(row)[span[0]], split.ragged("ends").row(row)[span[1]]
    return text_of(split.ragged("context").row(first)[begin:end])
