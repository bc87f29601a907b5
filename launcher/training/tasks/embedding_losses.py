"""Losses of vectors and cosines, each summed over its rows: float scalars."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

LARGEST = 2**24
"""Cosines that are held for the backward pass at once; of a larger batch they are computed anew there."""


def ranking(queries: Tensor, passages: Tensor, query_keys: Tensor, passage_keys: Tensor, temperature: float) -> Tensor:
    """The cross entropy of each query's passage among all passages that are no false negatives of it.

    Vectors [rows, width] and [passages, width], of which the first `rows` passages are those of the queries; keys tell
    which texts are the same. A candidate is left out that is the same text as the query's own passage or as the query,
    or that belongs to another row with the same query.
    """
    rows = len(queries)
    if rows * len(passages) <= LARGEST:
        return _part(queries, passages, query_keys, passage_keys, temperature, 0)
    size = max(1, LARGEST // len(passages))
    parts = [
        checkpoint(
            _part, queries[start : start + size], passages, query_keys, passage_keys, temperature, start,
            use_reentrant=False,
        )
        for start in range(0, rows, size)
    ]  # fmt: skip
    return torch.stack(parts).sum()


def _part(
    queries: Tensor, passages: Tensor, query_keys: Tensor, passage_keys: Tensor, temperature: float, start: int
) -> Tensor:
    """Of the queries from `start` on."""
    own = torch.arange(start, start + len(queries), device=queries.device)
    keys = query_keys[own]
    same = (passage_keys == passage_keys[own][:, None]) | (passage_keys == keys[:, None])
    of_its_own = query_keys == keys[:, None]
    same[:, : len(query_keys)] |= of_its_own
    same[torch.arange(len(own), device=own.device), own] = False
    logits = (queries @ passages.T / temperature).masked_fill(same, -torch.inf)
    return functional.cross_entropy(logits, own, reduction="sum")


def cosine(cosines: Tensor, numbers: Tensor) -> Tensor:
    """Squared error of [rows] against [rows]."""
    return functional.mse_loss(cosines, numbers.to(cosines.dtype), reduction="sum")


def cosent(cosines: Tensor, numbers: Tensor, temperature: float) -> Tensor:
    """log(1 + sum of exp((cosine of the less alike - cosine of the more alike) / temperature)), over all pairs of rows
    whose numbers differ; times the rows, so that their mean is it.
    """
    differences = (cosines[:, None] - cosines[None, :]) / temperature
    wrong = differences.masked_fill(numbers[:, None] >= numbers[None, :], -torch.inf).flatten()
    return torch.logsumexp(torch.cat([wrong.new_zeros(1), wrong]), dim=0) * len(cosines)
