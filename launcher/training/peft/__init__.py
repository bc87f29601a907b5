"""Which parameters train: all of them, low-rank updates (LoRA, QLoRA), or bottleneck layers (Adapter).

Whatever the method, the modules that are new (the task's head, the encoder of static vectors) train whole.
`Full` never imports peft, which takes seconds; the others do so only when they are applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from launcher.spec.peft import Adapter, Full, LoRA, Peft, QLoRA
from launcher.training.peft import adapter, four_bit, frozen, full, lora

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

__all__ = ["apply", "load_saved"]


def apply(model: PreTrainedModel, method: Peft, new_modules: Sequence[str]) -> nn.Module:
    """Make exactly the parameters trainable that `method` and `new_modules` name; outputs stay the same.

    `new_modules` are the names of submodules of `model` with freshly drawn weights: they train whole and are
    saved with the adapter. Full returns `model` itself; LoRA and Adapter change it in place and return a
    `peft.PeftModel` around it. New weights take the device and the dtype of the layer they stand beside, and
    are drawn from torch's global generator: seed it first, alike on every process.
    Raises PlanError where the model lacks what the method needs, or peft would train more than `new_modules`.
    """
    way = _way(method)
    return full.apply(model) if way is None else frozen.wrap(_base(model, method, new_modules), way, new_modules)


def load_saved(model: PreTrainedModel, method: Peft, new_modules: Sequence[str], folder: Path) -> nn.Module:
    """Undo `PeftModel.save_pretrained(folder)`: a freshly built base model plus the saved weights.

    What comes back is a `peft.PeftModel` to predict with: no parameter requires a gradient. The network is
    never asked.
    Raises PlanError where files are missing or damaged, were saved by another method than `method`, or do not
    fit `model` tensor by tensor; ValueError for Full, whose models transformers itself saves and loads.
    """
    way = _way(method)
    if way is None:
        raise ValueError("a fully trained model is loaded with from_pretrained, not with load_saved")
    return frozen.load(_base(model, method, new_modules), way, folder)


def _base(model: PreTrainedModel, method: Peft, new_modules: Sequence[str]) -> PreTrainedModel:
    """The model that stays frozen, as the method keeps it."""
    return four_bit.quantise(model, new_modules) if isinstance(method, QLoRA) else model


def _way(method: Peft) -> frozen.Way | None:
    match method:
        case Full():
            return None
        case LoRA() | QLoRA():
            return lora.LowRank(method)
        case Adapter():
            return adapter.Bottlenecks(method)
        case _:
            assert_never(method)
