"""The model before training: its source, the new layers of its task, and what its method adds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from launcher.recipe.about_images import trains_batch_norm
from launcher.recipe.recipe import Recipe
from launcher.training import methods, sources
from launcher.training.model_parts import batch_norm
from launcher.training.model_parts.dropout import set_dropout
from launcher.training.onward import weights


def initial_model(
    recipe: Recipe, labels: Sequence[str], prepared: Path, method: methods.MethodWork | None = None
) -> nn.Module:
    """The model before training, a function of the recipe's seed: source, new layers, method.

    `method` is the recipe's, at work on this very model; without it one that is forgotten.
    """
    torch.manual_seed(recipe.training.seed)
    base = weights.base_model(recipe, labels, prepared)
    batch_norm.settle(base, trains_batch_norm(recipe.task))
    model = (method or methods.method_work(recipe.peft)).apply(base, sources.new_modules(base))
    if recipe.training.dropout is not None:
        set_dropout(model, recipe.training.dropout)  # the method's own layers too
    weights.continue_adapters(model, recipe, labels)
    return model
