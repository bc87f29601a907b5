"""Methods: which parameters train. New layers (the task's head, the encoder of static vectors) always do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from launcher.recipe.noun import noun
from launcher.recipe.sizes import Depth, Width
from launcher.recipe.user_file import Custom
from launcher.recipe.user_file_check import called_besides

Rate = Annotated[float, Field(ge=0, lt=1)]
FINE: Mapping[str, float] = {"adamw": 5e-5, "sgd": 0.01, "adafactor": 1e-3}
"""Learning rates, by optimizer, of pretrained weights that train themselves."""
NEW: Mapping[str, float] = {"adamw": 1e-3, "sgd": 0.1, "adafactor": 0.1}
"""Of few weights, most of them new. Adafactor changes a weight by a part of its size: these begin small or at zero."""

STEPPED = frozenset({"single", "ddp", "fsdp2"})
"""The strategies whose step the launcher makes itself: a method may add to the loss and act after the step."""


class Method:
    """What every method says of itself, whatever its values."""

    usual_learning_rates: ClassVar[Mapping[str, float]]
    strategies: ClassVar[frozenset[str] | None] = None
    """Those under which it works; None where it works under all."""


@noun
class Full(Method):
    """Every parameter trains."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = FINE
    kind: Literal["Full"] = "Full"


@noun
class FrozenBase(Method):
    """What LoRA, QLoRA and Adapter share: trained parts beside a frozen model."""

    also_train: tuple[str, ...] = ()
    """Layers of the pretrained model that train whole as well, named as `Freeze` names them: `LayerNorm`, `pooler`."""


@noun
class LowRank(FrozenBase):
    """What LoRA and QLoRA share: a low-rank update beside frozen weights."""

    rank: Width = 8
    """Rank of the update: how many numbers it has for each input and output of a layer."""
    alpha: Annotated[float, Field(gt=0)] = 16
    """The update counts by alpha / rank."""
    dropout: Rate = 0.0
    """Part of the update's input that is dropped in training."""
    targets: tuple[str, ...] | None = None
    """Names of the layers that get an update; None takes attention's query and value projections, or the
    table of static vectors."""
    rslora: bool = False
    """The update is scaled by alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023, arXiv 2312.03732)."""


@noun
class LoRA(LowRank):
    """Low-rank updates beside frozen weights (Hu et al. 2021, arXiv 2106.09685)."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    kind: Literal["LoRA"] = "LoRA"
    dora: bool = False
    """A trained length for each output besides (DoRA, Liu et al. 2024, arXiv 2402.09353)."""


@noun
class QLoRA(LowRank):
    """LoRA over a pretrained model whose linear layers are kept in 4 bits (Dettmers et al. 2023, arXiv 2305.14314).

    NF4 with double quantisation, by bitsandbytes. On GPUs.
    """

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    kind: Literal["QLoRA"] = "QLoRA"


@noun
class Adapter(FrozenBase):
    """Bottleneck layers between frozen ones (Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2021).

    Houlsby et al. trained the normalisation layers too: `also_train=("LayerNorm",)` in a BERT.
    """

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    kind: Literal["Adapter"] = "Adapter"
    bottleneck: Width = 64
    """Units of the narrow layer."""
    placement: Literal["houlsby", "pfeiffer"] = "pfeiffer"
    """`houlsby`: after attention and after the feed-forward part; `pfeiffer`: after the latter only."""
    activation: Literal["relu", "gelu"] = "gelu"
    """The smooth one by default: the kink of `relu` lets the loss curve hang on the last bit."""


@noun
class BitFit(Method):
    """The biases of a pretrained model train, those of its normalisation layers too (Ben Zaken et al. 2021, arXiv
    2106.10199)."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    kind: Literal["BitFit"] = "BitFit"


@noun
class TopLayers(Method):
    """The last layers of a pretrained model train; the others, the embeddings and a pretrained pooler stay."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = FINE
    kind: Literal["TopLayers"] = "TopLayers"
    layers: Depth = 2
    """How many."""


@noun
class HeadOnly(Method):
    """Nothing but the new layers trains: a linear probe of a pretrained model, or an encoder over frozen vectors."""

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
    kind: Literal["CustomMethod"] = "CustomMethod"


Peft = Annotated[
    Full | LoRA | QLoRA | Adapter | BitFit | TopLayers | HeadOnly | Freeze | CustomMethod, Field(discriminator="kind")
]


def names_parts(method: Peft) -> bool:
    """Whether the method names parts that a model may not have, which only the model itself can show."""
    named = isinstance(method, LowRank) and method.targets is not None
    named = named or (isinstance(method, FrozenBase) and bool(method.also_train))
    return named or isinstance(method, BitFit | TopLayers | Freeze | CustomMethod)


def strategies_of(method: Peft) -> frozenset[str] | None:
    """The strategies under which it works; None where these are all. Of a user's file its functions decide."""
    if isinstance(method, CustomMethod):
        return STEPPED if called_besides(method) else None
    return type(method).strategies
