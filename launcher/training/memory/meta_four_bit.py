"""QLoRA's frozen base without its numbers: linear layers that take half a byte a weight, as memory is planned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from launcher.recipe.method import LoRA, LowRank, Peft, QLoRA
from launcher.recipe.noun import field_names
from launcher.training.methods import layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BITS = 4.127
"""A weight with its part of the scales (double quantisation, Dettmers et al. 2023, arXiv 2305.14314)."""


class _Unpacked(torch.autograd.Function):
    """As bitsandbytes does: the whole weight for the length of one product, forward and backward; nothing saved."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
        ctx.shape, ctx.inner = shape, dtype
        return inputs.to(dtype) @ inputs.new_empty(shape, dtype=dtype).t()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        return gradient @ gradient.new_empty(ctx.shape, dtype=ctx.inner), None, None


class HollowFourBit(nn.Linear):
    """Stands for a linear layer in 4 bits."""

    def __init__(self, like: nn.Linear) -> None:
        super().__init__(like.in_features, like.out_features, bias=False, device="meta")
        self.bias = like.bias
        size = round(like.weight.numel() * BITS / 8)
        self.weight = nn.Parameter(torch.empty(size, 1, dtype=torch.uint8, device="meta"), requires_grad=False)

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        # torch leaves `apply` without types
        made: Tensor = _Unpacked.apply(input, (self.out_features, self.in_features), dtype)  # type: ignore[no-untyped-call]
        return made if self.bias is None else made + self.bias.to(dtype)


def apply_without_data(model: PreTrainedModel, method: Peft, new_modules: Sequence[str]) -> nn.Module:
    """`peft.apply` for a model whose tensors hold no data: bitsandbytes cannot pack these."""
    from launcher.training import methods

    if isinstance(method, QLoRA):
        hollow_out(model, methods.train_whole(model, method, new_modules))
        method = LoRA(**{name: getattr(method, name) for name in field_names(LowRank)})
    return methods.method_work(method).apply(model, new_modules)


def hollow_out(model: PreTrainedModel, new_modules: Sequence[str]) -> int:
    """Put such layers where `four_bit.quantise` would put its own; how many weights they represent."""
    stood_for = 0
    for name, layer in layers.packable(model, new_modules).items():
        stood_for += layer.weight.numel()
        model.set_submodule(name, HollowFourBit(layer))
    return stood_for
