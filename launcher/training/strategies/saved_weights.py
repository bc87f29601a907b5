"""Keeps autograd from holding the weights that ZeRO-3 has gathered for a layer's forward pass.

A linear layer saves a view of its weight for the backward pass, and the view would keep the whole gathered weight
alive: by the end of the forward pass the model would stand whole on every rank. DeepSpeed's own cure
(`memory_efficient_linear`) saves the inputs of frozen layers instead, which plain layers need not. Here a view of a
gathered weight is saved as what it is a view of: by the time that it is needed, DeepSpeed has gathered it again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

View = tuple[nn.Parameter, torch.Size, tuple[int, ...]]


class SavedWeights:
    """Watches which weights are gathered while each layer of a model computes."""

    def __init__(self, model: nn.Module):
        self.gathered: dict[int, nn.Parameter] = {}
        for module in model.modules():
            if next(module.parameters(recurse=False), None) is not None:
                module.register_forward_pre_hook(self._begin)  # after DeepSpeed's own, which gathers
                module.register_forward_hook(self._end)

    def by_name(self) -> saved_tensors_hooks:
        """The context in which forward passes are to run."""
        return saved_tensors_hooks(self._pack, self._unpack)

    def _begin(self, module: nn.Module, inputs: Any) -> None:
        self.gathered |= {p.data_ptr(): p for p in module.parameters(recurse=False) if p.numel()}

    def _end(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.gathered.clear()  # layers with weights of their own compute one after the other

    def _pack(self, saved: torch.Tensor) -> torch.Tensor | View:
        parameter = self.gathered.get(saved.data_ptr())
        if parameter is None or saved.numel() != parameter.numel() or saved.dtype != parameter.dtype:
            return saved
        return parameter, saved.size(), saved.stride()

    @staticmethod
    def _unpack(saved: torch.Tensor | View) -> torch.Tensor:
        if isinstance(saved, torch.Tensor):
            return saved
        parameter, size, stride = saved
        return parameter.detach().as_strided(size, stride)
