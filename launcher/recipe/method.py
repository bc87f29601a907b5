"""Methods: which parameters train. New layers (the task's head, the encoder of static vectors) always do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from launcher.recipe.frozen_base import (
    IA3,
    OFT,
    AdaLoRA,
    Adapter,
    FrozenBase,
    LoRA,
    LowRank,
    NewTokens,
    PrefixTuning,
    PromptTuning,
    QLoRA,
    Targeted,
    VeRA,
    VirtualTokens,
)
from launcher.recipe.method_kind import FINE, NEW, STEPPED, Method
from launcher.recipe.noun import noun
from launcher.recipe.sizes import Depth
from launcher.recipe.user_file import Custom
from launcher.recipe.user_file_check import called_besides

__all__ = [
    "IA3",
    "OFT",
    "STEPPED",
    "AdaLoRA",
    "Adapter",
    "BitFit",
    "CustomMethod",
    "Freeze",
    "FrozenBase",
    "Full",
    "HeadOnly",
    "LoRA",
    "LowRank",
    "Method",
    "NewTokens",
    "Peft",
    "PrefixTuning",
    "PromptTuning",
    "QLoRA",
    "Targeted",
    "TopLayers",
    "VeRA",
    "VirtualTokens",
    "names_parts",
    "strategies_of",
]


@noun
class Full(Method):
    """Every parameter trains."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = FINE
    kind: Literal["Full"] = "Full"


@noun
class BitFit(Method):
    """The biases of a pretrained model train, those of its normalisation layers too (Ben Zaken et al. 2021, arXiv
    2106.10199)."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    of_pretrained: ClassVar[str] = "trains biases"
    kind: Literal["BitFit"] = "BitFit"


@noun
class TopLayers(Method):
    """The last layers of a pretrained model train; the others, the embeddings and a pretrained pooler stay."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = FINE
    of_pretrained: ClassVar[str] = "trains layers"
    kind: Literal["TopLayers"] = "TopLayers"
    layers: Depth = 2
    """How many."""


@noun
class HeadOnly(Method):
    """Nothing but the new layers trains: a linear probe of a pretrained model, or an encoder over frozen vectors. Of a
    language model that answers with words the head that it came with, without the table of tokens."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    kind: Literal["HeadOnly"] = "HeadOnly"


@noun
class Freeze(Method):
    """Every parameter trains but those that are named."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = FINE
    kind: Literal["Freeze"] = "Freeze"
    pattern: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of layers or parameters, or their ends, with `*`, `?` and `[0-5]`: `embeddings`, `layer.[0-5]`. What lies
    in a named layer is frozen with it."""


@noun
class CustomMethod(Custom, Method):
    """A method of your own: `apply(model, new_modules, **options)` in `file` changes the model in place.

    The file may define `penalty(model, **options)`, which is added to the loss of each step, and
    `after_step(model, step, **options)`; then it trains under single, ddp and fsdp2.
    """

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    merges: ClassVar[bool] = False
    kind: Literal["CustomMethod"] = "CustomMethod"


Peft = Annotated[
    Full
    | LoRA
    | QLoRA
    | AdaLoRA
    | VeRA
    | IA3
    | OFT
    | Adapter
    | PromptTuning
    | PrefixTuning
    | NewTokens
    | BitFit
    | TopLayers
    | HeadOnly
    | Freeze
    | CustomMethod,
    Field(discriminator="kind"),
]


def names_parts(method: Peft) -> bool:
    """Whether the method names parts that a model may not have, which only the model itself can show."""
    named = isinstance(method, Targeted) and method.targets is not None
    named = named or isinstance(method, IA3 | OFT | PrefixTuning)  # which layers these fit depends on the model
    named = named or (isinstance(method, FrozenBase) and bool(method.also_train))
    return named or isinstance(method, BitFit | TopLayers | Freeze | CustomMethod)


def strategies_of(method: Peft) -> frozenset[str] | None:
    """The strategies under which it works; None where these are all. Of a user's file its functions decide."""
    if isinstance(method, CustomMethod):
        return STEPPED if called_besides(method) else None
    return type(method).strategies
