"""The module that a saved model's folder holds: whole, or what a method added beside its base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from launcher.recipe.recipe import Recipe
from launcher.recipe.source import Pretrained
from launcher.training import methods, sources
from launcher.training.sources import bases

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def read_back(folder: Path, recipe: Recipe, labels: Sequence[str], seal: Mapping[str, Any]) -> nn.Module:
    """The model that `recipe` trained, in float32 on the CPU. Raises BackendError where its base is another one."""
    method = methods.method_work(recipe.peft)
    if method.saves_whole:
        whole: nn.Module = sources.load_model(folder, recipe.task)
        return whole
    base = base_beside(folder, recipe, labels, seal)
    return method.load_saved(base, sources.new_modules(base), folder)


def base_beside(folder: Path, recipe: Recipe, labels: Sequence[str], seal: Mapping[str, Any]) -> PreTrainedModel:
    """What the saved adapter stands beside, with a new head. Raises BackendError where it is another one now."""
    if isinstance(recipe.embedding, Pretrained):
        source = bases.same_base(recipe.embedding, seal.get("base", {}))
        return sources.build_model(source, recipe.task, labels, folder, recipe.training.dropout)
    return sources.load_model(folder / "base", recipe.task)
