"""Methods: which parameters train. New layers (the task's head, the encoder of static vectors) always do."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from launcher.spec.noun import noun

Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]


@noun
class Full:
    """Every parameter trains."""

    kind: Literal["Full"] = "Full"


@noun
class LowRank:
    """What LoRA and QLoRA share: a low-rank update beside frozen weights."""

    rank: Positive = 8
    alpha: Annotated[float, Field(gt=0)] = 16
    dropout: Rate = 0.0
    targets: tuple[str, ...] | None = None
    """Names of the layers that get an update; None takes attention's query and value projections, or the
    table of static vectors."""


@noun
class LoRA(LowRank):
    """Low-rank updates beside frozen weights (Hu et al. 2021, arXiv 2106.09685)."""

    kind: Literal["LoRA"] = "LoRA"


@noun
class QLoRA(LowRank):
    """LoRA over a pretrained model whose linear layers are kept in 4 bits (Dettmers et al. 2023, arXiv 2305.14314).

    NF4 with double quantisation, by bitsandbytes. On GPUs.
    """

    kind: Literal["QLoRA"] = "QLoRA"


@noun
class Adapter:
    """Bottleneck layers between frozen ones (Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2021)."""

    kind: Literal["Adapter"] = "Adapter"
    bottleneck: Positive = 64
    placement: Literal["houlsby", "pfeiffer"] = "pfeiffer"
    """`houlsby`: after attention and after the feed-forward part; `pfeiffer`: after the latter only."""
    activation: Literal["relu", "gelu"] = "gelu"
    """The smooth one by default: the kink of `relu` lets the loss curve hang on the last bit."""


Peft = Annotated[Full | LoRA | QLoRA | Adapter, Field(discriminator="kind")]
