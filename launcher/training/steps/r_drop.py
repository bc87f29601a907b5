"""R-Drop: a model that is asked twice, with other neurons dropped, should answer the same.

Liang et al. 2021, "R-Drop: Regularized Dropout for Neural Networks" (arXiv 2106.14448). The loss is half of theirs, so
that it compares with the loss without it: the mean of both passes' losses, and half the weight times how far the two
answers lie apart. Both passes are one batch of twice the rows: sharded weights are gathered once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from launcher.recipe.training import Training
from launcher.training.tasks import TaskWork
from launcher.training.tasks.token_classification import IGNORED

Inputs = dict[str, torch.Tensor]


def loss_sum(
    work: TaskWork, logits: Callable[[Inputs], torch.Tensor], inputs: Inputs, labels: torch.Tensor, training: Training
) -> torch.Tensor:
    """The task's loss of these rows, summed over targets, a float32 scalar; under R-Drop that of both passes."""
    if training.passes == 1:
        return work.loss_sum(logits(inputs), labels)
    one, other = logits(twice(inputs)).chunk(2)
    both = work.loss_sum(one, labels) + work.loss_sum(other, labels)
    return (both + training.r_drop * divergence_sum(one, other, labels)) / 2


def twice(inputs: Inputs) -> Inputs:
    """Each input [rows, …] with its rows once more below, [2 x rows, …]."""
    return {name: torch.cat([values, values]) for name, values in inputs.items()}


def divergence_sum(one: torch.Tensor, other: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """How far two answers lie apart, in nats, summed over all targets: a float32 scalar.

    The mean of the Kullback-Leibler divergences in both directions: between the classes of a target (logits
    [labels' shape, classes]), or between yes and no where each logit is a target (logits in the labels' shape).
    """
    one, other = one.float(), other.float()
    if one.shape == labels.shape:
        apart = (one.sigmoid() - other.sigmoid()) * (one - other)
    else:
        first, second = one.log_softmax(-1), other.log_softmax(-1)
        apart = ((first.exp() - second.exp()) * (first - second)).sum(-1)
    return (apart * labels.ne(IGNORED)).sum() / 2
