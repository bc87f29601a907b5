"""Which modules are sharded by themselves: those that hold most parameters and compute one after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import nn

from launcher.training.model_parts.sparse_table import is_table

FEWEST = 2
"""A list of this many equal blocks counts as the model's layers."""


def units(model: nn.Module) -> Iterator[nn.Module]:
    """Tables and layers, inner ones first; none of them holds another that is also called by itself.

    A table with DoRA is a unit together with it: DoRA measures the whole table, besides looking up rows.
    Layers are the classes that transformers' model says not to split; where it says none, the members of
    the lists of equal blocks. Whatever is left belongs to the outermost unit; so does a table that a language model's
    head uses as well, at another time.
    """
    named = _layer_classes(model)
    inside: set[int] = set()
    layers = [m for m in model.modules() if type(m).__name__ in named] or list(_blocks(model))
    for layer in layers:
        inside |= {id(module) for module in layer.modules() if module is not layer}
    holders = Counter(id(p) for module in model.modules() for p in module.parameters(recurse=False))
    measured = {id(m.base_layer): m for m in model.modules() if getattr(m, "lora_magnitude_vector", None)}
    for module in reversed(list(model.modules())):
        if not is_table(module) or id(module) in inside or any(module is layer for layer in layers):
            continue
        if all(holders[id(parameter)] == 1 for parameter in module.parameters(recurse=False)):
            yield measured.get(id(module), module)
    for layer in layers:
        if id(layer) not in inside:
            yield layer


def _layer_classes(model: nn.Module) -> set[str]:
    for module in model.modules():
        classes = getattr(module, "_no_split_modules", None)
        if classes:
            # an embedding layer is named there too; its tables are units of their own
            return {name for name in classes if not name.endswith("Embeddings")}
    return set()


def _blocks(model: nn.Module) -> Iterator[nn.Module]:
    for module in model.modules():
        if not isinstance(module, nn.ModuleList) or len(module) < FEWEST:
            continue
        if len({type(m) for m in module}) == 1 and any(True for _ in module[0].parameters()):
            yield from module
