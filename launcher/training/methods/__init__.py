"""Which parameters train: a choice of the model's own, low-rank updates, bottleneck layers, or what a file says.

Whatever the method, the modules that are new (the task's head, the encoder of static vectors) train whole. peft takes
seconds to import: only the methods beside a frozen base do so, when they are applied. A method that adds nothing saves
a whole model, as `from_pretrained` loads it; the others save what they added, beside a base that is kept as it was.
"""

from __future__ import annotations

from typing import assert_never

from launcher.recipe.method import (
    IA3,
    OFT,
    AdaLoRA,
    Adapter,
    BitFit,
    CustomMethod,
    Freeze,
    Full,
    HeadOnly,
    LoRA,
    NewTokens,
    Peft,
    PrefixTuning,
    PromptTuning,
    QLoRA,
    TopLayers,
    VeRA,
)
from launcher.training.methods import adalora, adapter, library, lora, selected, user_method, virtual
from launcher.training.methods.base import MethodWork
from launcher.training.methods.peft_model import train_whole

__all__ = ["MethodWork", "method_work", "train_whole"]


def method_work(method: Peft) -> MethodWork:
    """The method's implementation; a new one each time, because its state belongs to one run."""
    match method:
        case Full() | BitFit() | TopLayers() | HeadOnly() | Freeze():
            return selected.Selection(method)
        case LoRA():
            return lora.LowRank(method)
        case QLoRA():
            return lora.LowRankInFourBits(method)
        case Adapter():
            return adapter.Bottlenecks(method)
        case AdaLoRA():
            return adalora.Allocating(method)
        case PromptTuning() | PrefixTuning():
            return virtual.Virtual(method)
        case IA3() | VeRA() | OFT() | NewTokens():
            return library.OfLibrary(method)
        case CustomMethod():
            return user_method.UserMethod(method)
        case _:
            assert_never(method)
