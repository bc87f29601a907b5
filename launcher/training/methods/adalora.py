"""AdaLoRA's life: its penalty, and the ranks that fall after steps (Zhang et al. 2023, arXiv 2303.10512).

An update is B (E * A), A of shape (start_rank, in), E of (start_rank, 1), B of (out, start_rank). Each row of A with
its entry of E and its column of B is scored by the smoothed sensitivity of the loss times its uncertainty; from one cut
to the next the lowest of all layers lose their entry of E. peft's `RankAllocator` does it, on whole matrices: it is
given these also where the ranks of the run hold parts. What is saved has the rank of the start, with zeros in E.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate

from launcher.recipe.method import AdaLoRA
from launcher.training.methods.library import OfLibrary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER = "default"


@dataclass(frozen=True)
class Allocating(OfLibrary):
    """AdaLoRA at work. Its state is where peft keeps it: in the model's allocator."""

    method: AdaLoRA

    def apply(self, model: PreTrainedModel, new_modules: Sequence[str]) -> nn.Module:
        """As every method's. peft lets the rank, which is kept as a parameter, train where tensors are without data."""
        changed = super().apply(model, new_modules)
        for name, parameter in changed.named_parameters():
            if ".ranknum." in name:
                parameter.requires_grad_(False)
        return changed

    def begin(self, model: nn.Module, steps: int) -> None:
        """Let the configuration know the schedule."""
        config = _config(model)
        begin, end = self.method.falling(steps)
        config.total_step, config.tinit, config.tfinal = steps, begin, steps - end

    def penalty(self, model: nn.Module) -> Tensor | None:
        """The mean distance of A and B from matrices with orthonormal rows and columns, weighed."""
        if not self.method.orthogonality:
            return None
        products = [p @ p.T if ".lora_A." in n else p.T @ p for n, p in _weights(model) if ".lora_E." not in n]
        distances = [(product - torch.eye(len(product), device=product.device)).norm() for product in products]
        return self.method.orthogonality * torch.stack(distances).mean()

    def after_step(self, model: nn.Module, step: int) -> None:
        """Score, and cut where a cut is due; after the last one the scores stay, and so does what is cut."""
        config, allocator, whole = _config(model), _allocator(model), _Whole(model)
        last_cut = config.total_step - config.tfinal
        if step >= last_cut and not allocator.ipt:  # the first cut is the last one
            allocator.update_ipt(whole)
        allocator.update_and_allocate(whole, step, force_mask=step >= last_cut)
        whole.put_back()

    def state(self, model: nn.Module) -> Mapping[str, Tensor]:
        """The smoothed scores."""
        allocator, values = _allocator(model), {}
        for name, p in _weights(model):
            for held in (allocator.ipt, allocator.exp_avg_ipt, allocator.exp_avg_unc):
                if name not in held:
                    held[name] = torch.zeros(p.shape, device=p.device)
            values[f"sensitivity.{name}"] = allocator.exp_avg_ipt[name]
            values[f"uncertainty.{name}"] = allocator.exp_avg_unc[name]
        return values


class _Whole:
    """The update's matrices with their gradients, whole: as much of a model as peft's allocator uses."""

    def __init__(self, model: nn.Module) -> None:
        self.parameters = dict(_weights(model))
        self.whole = {name: _whole(p.detach()) for name, p in self.parameters.items()}
        for name, p in self.parameters.items():
            self.whole[name].grad = None if p.grad is None else _whole(p.grad)

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """By the names that they have in the model."""
        yield from self.whole.items()

    def put_back(self) -> None:
        """What was cut, where each rank holds a part; else it is the model's own tensor that was changed."""
        for name, p in self.parameters.items():
            if isinstance(p, DTensor) and ".lora_E." in name:
                cut = DTensor.from_local(self.whole[name], p.device_mesh, [Replicate()], run_check=False)
                p.copy_(cut.redistribute(placements=p.placements))


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """A, E and B of each layer, by the names that the allocator has for them."""
    inner = cast(Any, model).base_model.model
    return ((name, p) for name, p in inner.named_parameters() if ".lora_" in name and name.endswith(ADAPTER))


def _config(model: nn.Module) -> Any:
    return cast(Any, model).peft_config[ADAPTER]


def _allocator(model: nn.Module) -> Any:
    return cast(Any, model).base_model.rankallocator
