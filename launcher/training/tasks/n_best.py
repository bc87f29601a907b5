"""The best answers of a window by its logits, and those of an example out of all its windows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

UNLIKELY = -1e30
"""The logit of what no answer can start or end with: two of them can be added up."""


def best_spans(
    logits: tuple[torch.Tensor, torch.Tensor], allowed: torch.Tensor, longest: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `count` best answers of each row, best first: tokens int32 [rows, count, 2], scores float32 [rows, count].

    An answer starts and ends with tokens that are `allowed`, bool [rows, tokens], ends where it starts or later, and
    has at most `longest` tokens. Every such answer is looked at. Of equal ones, which repeated words have in a model
    without order, the first is the better, whatever the padding. Where there are too few, -1 stands for their tokens.
    """
    import torch
    from torch.nn import functional

    starts, ends = (each.masked_fill(~allowed, UNLIKELY) for each in logits)
    longest = min(longest, starts.shape[1])
    ahead = functional.pad(ends, (0, longest - 1), value=UNLIKELY).unfold(1, longest, 1)
    sums = (starts.unsqueeze(-1) + ahead).flatten(1)
    if count == 1:
        scores, indices = sums.max(dim=1, keepdim=True)
    else:
        scores, indices = (each[:, :count] for each in sums.sort(dim=1, descending=True, stable=True))
    first = indices // longest
    spans = torch.stack([first, first + indices % longest], dim=-1)
    spans = spans.masked_fill((scores < UNLIKELY / 2).unsqueeze(-1), -1)
    lacking = count - scores.shape[1]
    scores = functional.pad(scores, (0, lacking), value=2 * UNLIKELY)
    spans = functional.pad(spans, (0, 0, 0, lacking), value=-1)
    return spans.cpu().numpy().astype(np.int32), scores.cpu().numpy().astype(np.float32)


def weighed(
    context: str, scores: Iterable[tuple[int, int, float]], none: float | None, most: int
) -> list[dict[str, Any]]:
    """The best of these answers, given by their characters, each once: `{"text", "start", "end", "score",
    "probability"}`; the probabilities are shared out among them. `none` is the score of no answer, if it may be given.
    """
    best: dict[tuple[int, int], float] = {}
    for start, end, score in scores:
        best[start, end] = max(score, best.get((start, end), score))
    answers: list[dict[str, Any]] = [
        {"text": context[start:end], "start": start, "end": end, "score": score} for (start, end), score in best.items()
    ]
    answers = sorted(answers, key=lambda answer: -answer["score"])
    if none is not None:  # it stays however unlikely it is: a threshold may decide for it
        answers = [*answers[: most - 1], {"text": "", "start": None, "end": None, "score": none}]
    answers = sorted(answers[:most], key=lambda answer: -answer["score"])
    weights = np.exp([answer["score"] - answers[0]["score"] for answer in answers])
    for answer, weight in zip(answers, weights, strict=True):
        answer["probability"] = float(weight / weights.sum())
    return answers
