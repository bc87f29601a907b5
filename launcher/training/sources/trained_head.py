"""A checkpoint that has a head already: its rows go to the labels of the same names, or the head is initialised again.

By number they would be another function: each data set has its own order of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

LISTED = 5


@dataclass(frozen=True)
class TrainedHead:
    """What a checkpoint's configuration says of its head, before ours is written into it."""

    labels: tuple[str, ...]
    """By row; empty where they have numbers only."""
    architectures: tuple[str, ...]

    @classmethod
    def of(cls, config: PretrainedConfig, rows: tuple[str, ...] = ()) -> TrainedHead:
        """As it was loaded; `rows` are what the outputs of such a head are always, whatever it calls them."""
        names = {int(number): str(name) for number, name in (config.id2label or {}).items()}
        labels = tuple(names.get(number, "") for number in range(len(names)))
        unnamed = all(name in (f"LABEL_{number}", str(number)) for number, name in enumerate(labels))
        return cls(rows or (() if unnamed else labels), tuple(config.architectures or ()))

    def settle(self, model: PreTrainedModel, fresh: Sequence[str], labels: Sequence[str]) -> str:
        """Put the loaded head's rows in the order of `labels`, or draw new ones; what was done, in a sentence.

        `fresh` are the names of the tensors that the checkpoint did not fill. '' where it had no head.
        """
        name, layer = last_layer(model, len(labels))
        if layer is None or (name.removesuffix(".weight") + ".weight" in fresh and not self._had_one(model)):
            return ""
        rows = self._rows_for(labels) if f"{name}.weight" not in fresh and self._had_one(model) else None
        if rows is None:
            if f"{name}.weight" not in fresh:
                _draw(model, layer)
            theirs = f"was trained for {_listed(self.labels)}" if self.labels else "does not name its labels"
            return f"the head begins anew: the checkpoint's {theirs}"
        from launcher.training.sources.own_heads import OwnHead

        _permute(layer, rows)
        for own in model.children():
            if isinstance(own, OwnHead):  # it may have more that is of one label each
                own.reorder(rows)
        return f"the head is the checkpoint's, its rows taken by name: {_listed(labels)}"

    def _had_one(self, model: PreTrainedModel) -> bool:
        return type(model).__name__ in self.architectures

    def _rows_for(self, labels: Sequence[str]) -> list[int] | None:
        """For each label the checkpoint's row of that name; None unless they are the same names."""
        exact = {name: number for number, name in enumerate(self.labels)}
        if set(exact) != set(labels):
            exact = {name.casefold(): number for number, name in enumerate(self.labels)}
            labels = [label.casefold() for label in labels]
        if len(exact) != len(self.labels) or set(exact) != set(labels):
            return None
        return [exact[label] for label in labels]


def begin_anew(model: PreTrainedModel, labels: Sequence[str]) -> None:
    """Draw the head's last layer again, whatever a checkpoint has filled it with."""
    _, layer = last_layer(model, len(labels))
    if layer is not None:
        _draw(model, layer)


def last_layer(model: PreTrainedModel, labels: int) -> tuple[str, nn.Module | None]:
    """Name and module of the head's linear layer that gives one number a label."""
    from torch import nn

    body = model.base_model_prefix + "."
    last: tuple[str, nn.Module | None] = ("", None)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module.out_features == labels and not name.startswith(body):
            last = (name, module)
    return last


def _permute(layer: Any, rows: list[int]) -> None:
    import torch

    if rows != sorted(rows):
        with torch.no_grad():
            for parameter in layer.parameters(recurse=False):
                parameter.copy_(parameter[rows].clone())


def _draw(model: PreTrainedModel, layer: Any) -> None:
    import torch

    with torch.no_grad():
        layer.weight.normal_(0.0, getattr(model.config, "initializer_range", 0.02))
        if layer.bias is not None:
            layer.bias.zero_()


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - LISTED} more" if len(labels) > LISTED else ""
    return ", ".join(labels[:LISTED]) + more
