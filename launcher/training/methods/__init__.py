"""Which parameters train: a choice of the model's own, low-rank updates, bottleneck layers, or what a file says.

Whatever the method, the modules that are new (the task's head, the encoder of static vectors) train whole. peft takes
seconds to import: only LoRA, QLoRA and Adapter do so, when they are applied. A method that adds nothing saves a whole
model, as `from_pretrained` loads it; the others save what they added, beside a base that is kept as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from launcher.recipe.method import Adapter, BitFit, CustomMethod, Freeze, Full, HeadOnly, LoRA, Peft, QLoRA, TopLayers
from launcher.training.methods import adapter, four_bit, lora, peft_model, selected, user_method
from launcher.training.methods.peft_model import train_whole

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

__all__ = ["apply", "load_saved", "save", "saves_whole", "train_whole"]


def apply(model: PreTrainedModel, method: Peft, new_modules: Sequence[str]) -> nn.Module:
    """Make exactly the parameters trainable that `method` and `new_modules` name; outputs stay the same.

    `new_modules` are the names of submodules of `model` with freshly drawn weights: they train whole and are
    saved with the adapter. LoRA, QLoRA and Adapter change the model in place and return a `peft.PeftModel` around
    it; the other methods return `model` itself. New weights take the device and the dtype of the layer they stand
    beside, and are drawn from torch's global generator: seed it first, alike on every process.
    Raises PlanError where the model lacks what the method needs, or peft would train more than `new_modules`.
    """
    match method:
        case Full() | BitFit() | TopLayers() | HeadOnly() | Freeze():
            return selected.apply(model, method, new_modules)
        case LoRA():
            return peft_model.wrap(model, lora.LowRank(method), train_whole(model, method, new_modules))
        case QLoRA():
            whole = train_whole(model, method, new_modules)
            return peft_model.wrap(four_bit.quantise(model, whole), lora.LowRank(method), whole)
        case Adapter():
            return peft_model.wrap(model, adapter.Bottlenecks(method), train_whole(model, method, new_modules))
        case CustomMethod():
            return user_method.apply(model, method, new_modules)
        case _:
            assert_never(method)


def saves_whole(method: Peft) -> bool:
    """Whether a saved model is whole, or what the method added to a base."""
    return isinstance(method, selected.Selected)


def save(model: nn.Module, method: Peft, folder: Path) -> None:
    """Write what `apply` returned and training changed: a whole model, or what the method added."""
    if isinstance(method, CustomMethod):
        user_method.save(model, folder)
        return
    # a PEFT model would ask the hub whether embedding layers are new; ours never are
    options = {} if saves_whole(method) else {"save_embedding_layers": False}
    model.save_pretrained(folder, **options)  # type: ignore[operator]


def load_saved(model: PreTrainedModel, method: Peft, new_modules: Sequence[str], folder: Path) -> nn.Module:
    """Undo `save` for what a method added: a freshly built base model plus the saved weights.

    What comes back is there to predict with: no parameter requires a gradient. The network is never asked.
    Raises PlanError where files are missing or damaged, were saved by another method than `method`, or do not
    fit `model` tensor by tensor; ValueError for whole models, which transformers itself loads.
    """
    match method:
        case LoRA():
            return peft_model.load(model, lora.LowRank(method), folder)
        case QLoRA():
            whole = train_whole(model, method, new_modules)
            return peft_model.load(four_bit.quantise(model, whole), lora.LowRank(method), folder)
        case Adapter():
            return peft_model.load(model, adapter.Bottlenecks(method), folder)
        case CustomMethod():
            return user_method.load(user_method.apply(model, method, new_modules), folder)
        case _:
            raise ValueError("a model that was saved whole is loaded with from_pretrained, not with load_saved")
