"""The interface of every method: how it changes a model, what it does in each step, and what of it is saved.

Methods without a life change the model once (`apply`). One with a life also adds to the loss, or acts after each step:
`penalty` and `after_step` do nothing unless a method says otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class MethodWork(ABC):
    """One method at work. Its recipe object names the strategies it works under (`launcher.recipe.method`)."""

    saves_whole: ClassVar[bool] = False
    """Whether a saved model is whole, or what the method added to a base."""

    @abstractmethod
    def apply(self, model: PreTrainedModel, new_modules: Sequence[str]) -> nn.Module:
        """Make exactly the parameters trainable that the method and `new_modules` name; outputs stay the same.

        `new_modules` are the names of submodules of `model` with freshly drawn weights: they train whole and are
        saved with what is added. The model is changed in place and returned, or a `peft.PeftModel` around it. New
        weights take the device and the dtype of the layer they belong to, and are drawn from torch's global
        generator: seed it first, alike on every process.
        Raises PlanError where the model lacks what the method needs.
        """

    @abstractmethod
    def save(self, model: nn.Module, folder: Path) -> None:
        """Write what `apply` returned and training changed: a whole model, or what the method added."""

    @abstractmethod
    def load_saved(self, model: PreTrainedModel, new_modules: Sequence[str], folder: Path) -> nn.Module:
        """Undo `save` for what a method added: a freshly built base model plus the saved weights.

        What comes back is there to predict with: no parameter requires a gradient. The network is never used.
        Raises PlanError where files are missing or damaged, were saved by another method, or do not fit `model`
        tensor by tensor; ValueError for whole models, which transformers itself loads.
        """

    def base_to_merge(self, model: PreTrainedModel, new_modules: Sequence[str]) -> nn.Module:
        """The base that was trained beside, with all weights as numbers that can be added to; changed in place."""
        return model

    def load_to_merge(self, model: PreTrainedModel, new_modules: Sequence[str], folder: Path) -> nn.Module:
        """As `load_saved`, with all weights as numbers that can be added to."""
        return self.load_saved(model, new_modules, folder)

    def begin(self, model: nn.Module, steps: int) -> None:  # noqa: B027 (it may be left out)
        """Called before the first step of a run or of its resumption; the whole run makes so many steps."""

    def penalty(self, model: nn.Module) -> Tensor | None:
        """A scalar that is added once to the loss of each optimiser step, whatever the ranks and micro-batches.

        What trains is whole here under every strategy; frozen weights lie as the strategy keeps them.
        """
        return None

    def after_step(self, model: nn.Module, step: int) -> None:  # noqa: B027 (it may be left out)
        """Called once `step` (from 1) is made, without autograd; not where fp16 left the step out.

        The gradients that were stepped with are still there: whole and the same on every rank under single and ddp.
        Under fsdp2 parameters and gradients are DTensors: change them element by element and in place, or call
        `full_tensor()`.
        """

    def state(self, model: nn.Module) -> Mapping[str, Tensor]:
        """What must survive a resume besides the parameters that train, in the model or in the method; live tensors.

        The same on all ranks. What the forward pass reads is in `model`, as it is put into the one that is saved.
        """
        return {}

    @torch.no_grad()
    def restore(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave, on any number of ranks."""
        own = self.state(model)
        for name, value in state.items():
            own[name].copy_(value)

    @property
    def lives(self) -> bool:
        """Whether it does anything in a step. Then tables of tokens are treated as all other weights.

        Otherwise only the rows that are named train and travel between ranks: a penalty gives every row a gradient.
        """
        return type(self).penalty is not MethodWork.penalty or self.acts_after_steps

    @property
    def acts_after_steps(self) -> bool:
        """Whether it is to be called between a step and the clearing of its gradients."""
        return type(self).after_step is not MethodWork.after_step
