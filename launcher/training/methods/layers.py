"""The layers of a model that a method can add to: linear ones and embedding tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from torch import nn

from launcher.errors import did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STATIC = "static_vectors"
"""`config.model_type` of the models that start from static vectors, and their table's name."""
TABLE = "embeddings"
ROWS = f"{TABLE}.rows"
"""The table inside one whose vectors are made of subwords."""


def frozen_layers(model: PreTrainedModel, new_modules: Sequence[str]) -> dict[str, nn.Module]:
    """Full name to layer: each nn.Linear, nn.Conv2d, nn.Embedding and transformers Conv1D outside the new modules."""
    from transformers.pytorch_utils import Conv1D

    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding | Conv1D) and not is_inside(name, new_modules)
    }


def linear_layers(model: PreTrainedModel, new_modules: Sequence[str]) -> dict[str, nn.Module]:
    """Those of them that multiply by one matrix."""
    from transformers.pytorch_utils import Conv1D

    found = frozen_layers(model, new_modules)
    return {name: layer for name, layer in found.items() if isinstance(layer, nn.Linear | Conv1D)}


def packable(model: PreTrainedModel, new_modules: Sequence[str]) -> dict[str, nn.Linear]:
    """The frozen linear layers that 4 bits can hold: not those whose numbers their own family looks at (T5's `wo`)."""
    kept = set(model._keep_in_fp32_modules or ())
    return {
        name: layer
        for name, layer in frozen_layers(model, new_modules).items()
        if type(layer) is nn.Linear and name.rpartition(".")[2] not in kept
    }


def is_inside(name: str, modules: Iterable[str]) -> bool:
    """Whether `name` is one of `modules` or is inside one."""
    return any(name == module or name.startswith(module + ".") for module in modules)


def is_called(name: str, target: str) -> bool:
    """Whether the full name is `target` or ends with it, whole words only: peft's reading of a target."""
    return name == target or name.endswith("." + target)


def is_named(name: str, pattern: str) -> bool:
    """Whether the whole name, or whole words at its end, fit the pattern (`*`, `?`, `[0-5]`)."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, "*." + pattern)


def nearest_name(pattern: str, names: Iterable[str]) -> str:
    """The nearest end of a real name, of as many words as the pattern; else the names at the top of the model."""
    words, names = pattern.count(".") + 1, list(names)
    near = did_you_mean(pattern, {".".join(name.split(".")[-words:]) for name in names})
    return near if near.startswith("did") else did_you_mean("", [name for name in names if name.count(".") < 2])


def last_names(layers: Mapping[str, nn.Module]) -> list[str]:
    """The layers' own names without their path, once each: what a user would write as a target."""
    return sorted({name.rpartition(".")[2] for name in layers} - {""})


def width(layer: nn.Module) -> int:
    """Length of the vectors that a layer puts out. Raises TypeError for a layer that is none of the three."""
    match layer:
        case nn.Linear():
            return layer.out_features
        case nn.Module(embedding_dim=int(features)):
            return features
        case nn.Module(nf=int(features)):
            return features
        case _:
            raise TypeError(f"{type(layer).__name__} is neither a linear layer nor an embedding table")


def inputs(layer: nn.Module) -> int:
    """Length of the vectors that a layer takes; of a table, of those that it gives."""
    match layer:
        case nn.Linear():
            return layer.in_features
        case nn.Module(nx=int(features)):
            return features
        case _:
            return width(layer)
