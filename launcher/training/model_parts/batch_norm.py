"""Batch normalisation that does not depend on how a batch is parted, and whose statistics are known to be saved.

torch's own takes the statistics of whatever a process computes at a time: then the curve depends on the number of
processes, and the stored means move without being trained, so that what peft saves is not what trained. Here it is one
of two:

    Frozen    the stored statistics, in training too: each image is computed by itself
    Whole     those of all images of a step, over all ranks; every rank stores the same running means
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class Frozen(_BatchNorm):
    """Normalises by what is stored. Weight and bias train where the method says so."""

    def forward(self, input: Tensor) -> Tensor:
        """[rows, channels, …] likewise."""
        return _by_stored(self, input)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions: the class stands for those of one, two and three."""


class Whole(_BatchNorm):
    """Normalises by the whole batch's statistics while it trains, and stores their running means."""

    def forward(self, input: Tensor) -> Tensor:
        """[rows, channels, …] likewise."""
        if not self.training:
            return _by_stored(self, input)
        given, input = input.dtype, input.float()  # counts and sums do not fit into 16 bits
        sides = [side for side in range(input.dim()) if side != 1]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        number = input.numel() // input.shape[1] * _counted.weight
        total = _over_ranks(torch.cat([input.sum(sides) * _counted.weight, input.new_tensor([number])]))
        number, mean = float(total[-1].detach()), total[:-1] / total[-1].detach()
        away = input - mean.view(shape)
        variance = _over_ranks(away.square().sum(sides) * _counted.weight) / number
        self._store(mean.detach(), variance.detach(), number)
        normal = away * (variance + self.eps).rsqrt().view(shape)
        if self.weight is None or self.bias is None:
            return normal.to(given)
        return (normal * self.weight.view(shape) + self.bias.view(shape)).to(given)

    @torch.no_grad()
    def _store(self, mean: Tensor, variance: Tensor, number: float) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        part = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, part)
        self.running_var.lerp_(variance * (number / max(1.0, number - 1)), part)

    def _check_input_dim(self, input: Tensor) -> None:
        """As above."""


def settle(model: nn.Module, trained: bool) -> None:
    """Let every batch normalisation of the model be one of the two; the modules stay the same objects."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            module.__class__ = Whole if trained else Frozen


def state(model: nn.Module) -> dict[str, Tensor]:
    """What training moves besides parameters: live tensors, the same on every rank; of a frozen model none."""
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, Whole)]
    return {f"{name}.{buffer}": getattr(module, buffer) for name, module in found for buffer in BUFFERS}


class _Counted:
    """Whether what is computed counts. A global, as transformers' models have no argument that would reach here."""

    weight = 1.0


_counted = _Counted()


@contextlib.contextmanager
def counting(counts: bool) -> Iterator[None]:
    """Around the forward pass of rows that count; or of a rank's filler, which must not move the statistics."""
    _counted.weight = float(counts)
    try:
        yield
    finally:
        _counted.weight = 1.0


def _by_stored(module: _BatchNorm, input: Tensor) -> Tensor:
    return functional.batch_norm(
        input, module.running_mean, module.running_var, module.weight, module.bias, training=False, eps=module.eps
    )


class _Sum(torch.autograd.Function):
    """The sum over all ranks, and in the backward pass that of the gradients."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        """Any shape, the same on every rank."""
        total = values.contiguous().clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        """Likewise."""
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


def _over_ranks(values: Tensor) -> Tensor:
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return values
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]  # torch leaves it without types
    return total
