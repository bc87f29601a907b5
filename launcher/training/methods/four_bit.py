"""The frozen base of QLoRA: its linear layers in 4 bits (NF4, Dettmers et al. 2023, arXiv 2305.14314).

bitsandbytes does the work, on the CPU: the same weights give the same bits wherever the model goes afterwards,
so a model read back computes as the trained one did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from launcher.training.methods import layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def quantise(model: PreTrainedModel, new_modules: Sequence[str]) -> PreTrainedModel:
    """`model` with every nn.Linear outside `new_modules` in 4 bits, frozen; changed in place.

    A weight takes half a byte and 0.127 bits of scale an element (blocks of 64, scales quantised in turn).
    """
    import bitsandbytes

    for name, layer in layers.packable(model, new_modules).items():
        small = bitsandbytes.nn.Linear4bit(
            layer.in_features, layer.out_features, layer.bias is not None, quant_type="nf4", compress_statistics=True
        )
        small.weight = bitsandbytes.nn.Params4bit(
            layer.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True, module=small
        )
        small.bias = layer.bias
        # on some CPUs it would repack the weights at the first evaluation and compute in bf16 from then on
        small.support_avx512bf16_for_cpu = False
        model.set_submodule(name, small.to("cpu"))
    model.is_loaded_in_4bit = True  # type: ignore[assignment]  # peft looks for it to choose its own 4-bit layer
    return model


def dequantise(model: PreTrainedModel) -> PreTrainedModel:
    """The opposite: every such layer as an nn.Linear of the weights that its 4 bits stand for; changed in place."""
    import bitsandbytes
    from torch import nn

    small = {name: layer for name, layer in model.named_modules() if isinstance(layer, bitsandbytes.nn.Linear4bit)}
    for name, layer in small.items():
        whole = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
        packed: Any = layer.weight
        weight = bitsandbytes.functional.dequantize_4bit(packed.data, packed.quant_state)
        whole.weight = nn.Parameter(weight.float(), requires_grad=False)
        if layer.bias is not None:
            whole.bias = nn.Parameter(layer.bias.data, requires_grad=False)
        model.set_submodule(name, whole)
    model.is_loaded_in_4bit = False  # type: ignore[assignment]
    return model
