"""`CustomMethod`: a method in a file of the user's own.

    apply(model, new_modules, **options)     changes `model` in place and returns nothing
    penalty(model, **options)                a scalar, added once to the loss of each step; may be left out
    after_step(model, step, **options)       called after each step; may be left out (both: see `MethodWork`)

The model comes frozen but for the new modules. The function adds parameters that train, or lets some of the model's own
require a gradient; outputs should stay as they were. It draws from torch's global generator, alike on every process.
It is also called on a model without data (device `meta`), to plan memory: torch's own initialisers work on both.

What the other two keep is buffers that `apply` registers in the model: these are in every checkpoint, and in the saved
model unless they were registered with `persistent=False`.

model/
  custom.safetensors      all tensors that trained or that the function added, by their names in the changed model
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from launcher.errors import PlanError, Problem
from launcher.recipe.method import CustomMethod
from launcher.recipe.user_file_check import called_besides
from launcher.training import user_code
from launcher.training.methods import layers
from launcher.training.methods.base import MethodWork

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHTS = "custom.safetensors"


@dataclass(frozen=True)
class UserMethod(MethodWork):
    """The file at work."""

    method: CustomMethod

    def apply(self, model: PreTrainedModel, new_modules: Sequence[str]) -> PreTrainedModel:
        """The same object, changed by the user's function. Raises RecipeError where that breaks its contract."""
        return apply(model, self.method, new_modules)

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the tensors that the base does not have."""
        from safetensors.torch import save_file

        save_file(_own(model), folder / WEIGHTS, {"format": "pt"})

    def load_saved(self, model: PreTrainedModel, new_modules: Sequence[str], folder: Path) -> nn.Module:
        """The saved tensors in a model to which the method is applied."""
        return load(self.apply(model, new_modules), folder)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """What the file's `penalty` returns, as an fp32 scalar. Raises RecipeError where it is not a scalar."""
        if "penalty" not in called_besides(self.method):
            return None
        value = user_code.call(self.method, model, function="penalty")
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
            kind = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            do = "return one number as a tensor, such as (weight - anchor).square().sum()"
            raise user_code.wrong(self.method, f"returned {kind}", do, function="penalty")
        return value.float().reshape(())

    def after_step(self, model: nn.Module, step: int) -> None:
        """What the file does."""
        if "after_step" in called_besides(self.method):
            user_code.call(self.method, model, step, function="after_step")

    def state(self, model: nn.Module) -> Mapping[str, Tensor]:
        """The buffers that `apply` added."""
        return {name: model.get_buffer(name) for name in model._own_buffers}  # type: ignore[union-attr]

    @property
    def lives(self) -> bool:
        """Whether the file has one of the two."""
        return bool(called_besides(self.method))

    @property
    def acts_after_steps(self) -> bool:
        """Whether the file has that one."""
        return "after_step" in called_besides(self.method)


def apply(model: PreTrainedModel, method: CustomMethod, new_modules: Sequence[str]) -> PreTrainedModel:
    """The same object, changed by the user's function. Raises RecipeError where that breaks its contract."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(layers.is_inside(name, new_modules))
    kept = [*model.parameters(), *model.buffers()]  # while these are held no new tensor can reuse the id of one
    given = {id(tensor) for tensor in kept}
    before = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    returned = user_code.call(method, model, list(new_modules))
    if returned is not None and returned is not model:
        do = "change the model in place and return nothing"
        raise user_code.wrong(method, f"returned a {type(returned).__name__}", do)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if before - trained:
        do = "the head and other new layers train under every method: leave them as they are"
        raise user_code.wrong(method, f"froze or replaced new layers: {', '.join(sorted(before - trained)[:3])}", do)
    if not trained:
        raise user_code.wrong(method, "left nothing that trains", "let some parameter require a gradient")
    tensors = model.state_dict(keep_vars=True)
    own = [name for name, tensor in tensors.items() if tensor.requires_grad or id(tensor) not in given]
    # both are attributes of our own, which nn.Module's types do not know: hence the ignores here and below
    model._own_tensors = own  # type: ignore[assignment]
    model._own_buffers = [name for name, buffer in model.named_buffers() if id(buffer) not in given]  # type: ignore[assignment]
    return model


def load(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The saved tensors in a model to which the method is applied, every one accounted for; nothing trains.

    Raises PlanError where they do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    try:
        saved = load_file(path)
    except (OSError, SafetensorError) as error:
        raise PlanError(Problem(f"the saved weights cannot be read: {error}", str(path))) from None
    wanted = {name: tuple(tensor.shape) for name, tensor in _own(model).items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in saved.items()}
    differing = sorted(name for name in wanted.keys() | shapes.keys() if wanted.get(name) != shapes.get(name))
    if differing:
        what = f"{len(differing)} saved tensors do not fit this {type(model).__name__}: {', '.join(differing[:3])}"
        raise PlanError(Problem(what, str(path), "load them with the model they were trained with"))
    tensors = model.state_dict()
    with torch.no_grad():
        for name, value in saved.items():
            tensors[name].copy_(value)
    return model.requires_grad_(False)


def _own(model: nn.Module) -> dict[str, Tensor]:
    tensors = model.state_dict()
    return {name: tensors[name].detach().clone().contiguous() for name in model._own_tensors}  # type: ignore[union-attr]
