"""Optimiser and learning-rate schedule of a recipe: torch's own, with the usual weight-decay exclusions."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from launcher.recipe.training import Training
from launcher.training.model_parts.sparse_table import is_table

STATE_KEYS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer", "row_var", "col_var", "variance")
"""What torch's AdamW, SGD and Adafactor keep for a parameter; see `state_shape`."""

SCALES = ".ia3_l."
"""In the names of IA3's vectors, which peft keeps as matrices: they start at one, as a normalisation's do."""


def build_optimiser(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019, fused), SGD or Adafactor (Shazeer and Stern 2018) over the trainable
    parameters, in two groups.

    Biases, normalisation layers, scales and embedding tables are not decayed.
    """
    apart = {id(m.weight) for m in model.modules() if is_table(m)}
    apart |= {id(parameter) for name, parameter in model.named_parameters() if SCALES in name}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    plain = [p for p in trainable if p.ndim < 2 or id(p) in apart]
    free = {id(parameter) for parameter in plain}
    groups = [
        {"params": [p for p in trainable if id(p) not in free], "weight_decay": training.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = training.learning_rate
    assert rate is not None, "recipe.resolve fills it"
    if training.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=training.momentum)
    if training.optimizer == "adafactor":
        return torch.optim.Adafactor(groups, lr=rate)
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def build_schedule(optimiser: torch.optim.Optimizer, training: Training, steps: int) -> LambdaLR:
    """Warm-up from zero, then linear to zero, cosine to zero, or constant, over `steps` optimiser steps.

    The curves of transformers' `get_scheduler`, to the bit; that one imports the whole Trainer, which takes as long
    as torch itself.
    """
    warmup = round(training.warmup * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return step / max(1, warmup)
        if training.schedule == "constant":
            return 1.0
        if training.schedule == "linear":
            return max(0.0, (steps - step) / max(1, steps - warmup))
        done = (step - warmup) / max(1, steps - warmup)
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * 0.5 * 2.0 * done)))

    return LambdaLR(optimiser, factor)


def state_shape(key: str, shape: torch.Size) -> torch.Size:
    """The shape of what is kept under `key` for a parameter of this shape: `step` is one number, `row_var` one for each
    row, `col_var` one for each column, the others are as large as the parameter.
    """
    match key:
        case "step":
            return torch.Size()
        case "row_var":
            return torch.Size((*shape[:-1], 1))
        case "col_var":
            return torch.Size((*shape[:-2], 1, *shape[-1:]))
        case _:
            return shape
