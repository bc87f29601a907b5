"""Setting every dropout rate of a model: in its configuration, and in what was built from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


def configure_dropout(config: PretrainedConfig, rate: float) -> None:
    """Set each rate of the configuration, before the model is built: attention reads its rate from there.

    `layerdrop` skips whole layers and is no dropout rate: only 0 turns it off too.
    """
    for below in getattr(config, "sub_configs", {}):
        if (part := getattr(config, below, None)) is not None:
            configure_dropout(part, rate)
    for name, value in list(vars(config).items()):
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if numeric and "drop" in name and ("layerdrop" not in name or rate == 0):
            setattr(config, name, rate)


def set_dropout(model: nn.Module, rate: float) -> None:
    """Set each rate of the built model, for those that do not follow from its configuration."""
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = rate
        elif isinstance(module, nn.MultiheadAttention) or (isinstance(module, nn.RNNBase) and module.num_layers > 1):
            module.dropout = rate
