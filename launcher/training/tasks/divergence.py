"""How far two answers lie apart: the mean of the Kullback-Leibler divergences in both directions, in nats."""

from __future__ import annotations

import torch


def of_classes(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Between the classes of each target: logits [..., classes] -> [...]."""
    first, second = one.log_softmax(-1), other.log_softmax(-1)
    return ((first.exp() - second.exp()) * (first - second)).sum(-1) / 2


def of_decisions(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Between yes and no of each decision: logits [...] -> [...]."""
    return (one.sigmoid() - other.sigmoid()) * (one - other) / 2
