"""Methods that train parts beside a frozen model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from launcher.recipe.method_kind import NEW, PROMPTS, SCALES, STEPPED, Method
from launcher.recipe.noun import noun
from launcher.recipe.sizes import Count, Width

Rate = Annotated[float, Field(ge=0, lt=1)]


@noun
class FrozenBase(Method):
    """What LoRA, QLoRA and Adapter share: trained parts beside a frozen model."""

    also_train: tuple[str, ...] = ()
    """Layers of the pretrained model that train whole as well, named as `Freeze` names them: `LayerNorm`, `pooler`."""


@noun
class Targeted(FrozenBase):
    """What the methods share that change layers by name."""

    targets: tuple[str, ...] | None = None
    """Names of the layers that are changed; None takes attention's query and value projections, or the table of static
    vectors."""


@noun
class LowRank(Targeted):
    """What LoRA and QLoRA share: a low-rank update beside frozen weights."""

    rank: Width = 8
    """Rank of the update: how many numbers it has for each input and output of a layer."""
    alpha: Annotated[float, Field(gt=0)] = 16
    """The update counts by alpha / rank."""
    dropout: Rate = 0.0
    """Part of the update's input that is dropped in training."""
    rslora: bool = False
    """The update is scaled by alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023, arXiv 2312.03732)."""


@noun
class LoRA(LowRank):
    """Low-rank updates beside frozen weights (Hu et al. 2021, arXiv 2106.09685)."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    kind: Literal["LoRA"] = "LoRA"
    dora: bool = False
    """A trained length for each output besides (DoRA, Liu et al. 2024, arXiv 2402.09353)."""
    start: Literal["zero", "pissa"] = "zero"
    """`pissa`: the update starts from the principal components of each weight, and what is left of it is frozen (Meng
    et al. 2024, arXiv 2404.02948). What is saved has twice the rank and fits the model as it was."""


@noun
class QLoRA(LowRank):
    """LoRA over a pretrained model whose linear layers are kept in 4 bits (Dettmers et al. 2023, arXiv 2305.14314).

    NF4 with double quantisation, by bitsandbytes. On GPUs.
    """

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    in_four_bits: ClassVar[bool] = True
    kind: Literal["QLoRA"] = "QLoRA"
    start: Literal["zero", "loftq"] = "zero"
    """`loftq`: the update starts from what each weight lost in 4 bits (Li et al. 2023, arXiv 2310.08659)."""


@noun
class Adapter(FrozenBase):
    """Bottleneck layers between frozen ones (Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2021).

    Houlsby et al. trained the normalisation layers too: `also_train=("LayerNorm",)` in a BERT.
    """

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    merges: ClassVar[bool] = False
    kind: Literal["Adapter"] = "Adapter"
    bottleneck: Width = 64
    """Units of the narrow layer."""
    placement: Literal["houlsby", "pfeiffer", "parallel"] = "pfeiffer"
    """`houlsby`: after attention and after the feed-forward part; `pfeiffer`: after the latter only; `parallel`: beside
    the latter (He et al. 2022, arXiv 2110.04366)."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """By which the output of a bottleneck counts; He et al. took 4 where it stands beside."""
    activation: Literal["relu", "gelu"] = "gelu"
    """The smooth one by default: the kink of `relu` lets the loss curve hang on the last bit."""


@noun
class AdaLoRA(Targeted):
    """LoRA whose ranks fall where they matter least (Zhang et al. 2023, arXiv 2303.10512).

    An update is P E Q with E diagonal; P and Q are drawn towards orthogonal matrices. By the sensitivity of the loss to
    them, entries of E are set to zero until those left make up `rank` a layer on average.
    """

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    strategies: ClassVar[frozenset[str] | None] = STEPPED
    of_pretrained: ClassVar[str] = "changes projections"
    kind: Literal["AdaLoRA"] = "AdaLoRA"
    rank: Width = 8
    """Average rank of an update at the end."""
    start_rank: Width = 12
    """Rank of each update at the start."""
    alpha: Annotated[float, Field(gt=0)] = 16
    """The update counts by alpha / start_rank."""
    dropout: Rate = 0.0
    """Part of the update's input that is dropped in training."""
    warmup_steps: Annotated[int, Field(ge=0, le=2**40)] | None = None
    """Steps before the ranks begin to fall; None takes a tenth of the run."""
    final_steps: Annotated[int, Field(ge=0, le=2**40)] | None = None
    """Steps at the end with the ranks as they are by then; None takes three tenths of the run."""
    every: Count = 1
    """Steps from one cut of the ranks to the next."""
    orthogonality: Annotated[float, Field(ge=0)] = 0.5
    """How much of the loss is the distance of P and Q from orthogonal matrices."""

    def falling(self, steps: int) -> tuple[int, int]:
        """After which step of a run of so many the ranks begin to fall, and after which they do not any more."""
        warmup = steps // 10 if self.warmup_steps is None else self.warmup_steps
        final = 3 * steps // 10 if self.final_steps is None else self.final_steps
        return warmup, steps - final


@noun
class IA3(Targeted):
    """Keys, values and the inside of the feed-forward part are scaled, each number by one of its own (Liu et al. 2022,
    arXiv 2205.05638)."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = SCALES
    of_pretrained: ClassVar[str] = "scales attention and feed-forward layers"
    kind: Literal["IA3"] = "IA3"
    targets: tuple[str, ...] | None = None
    """Layers of which the outputs are scaled; None takes attention's key and value projections."""
    feed_forward: tuple[str, ...] | None = None
    """Layers of which the inputs are scaled; None takes the last layer of each feed-forward part."""


@noun
class VeRA(Targeted):
    """LoRA with matrices that are drawn once, frozen and shared by all layers: of each layer two vectors train, which
    scale them (Kopiczko et al. 2023, arXiv 2310.11454)."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = SCALES
    of_pretrained: ClassVar[str] = "changes projections"
    kind: Literal["VeRA"] = "VeRA"
    rank: Width = 256
    """Of the shared matrices: it costs few trained numbers, so it is larger than LoRA's."""
    dropout: Rate = 0.0
    """Part of the update's input that is dropped in training."""


@noun
class OFT(Targeted):
    """The inputs of layers are turned by trained orthogonal matrices, which keep the angles between neurons
    (Qiu et al. 2023, arXiv 2306.07280)."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    kind: Literal["OFT"] = "OFT"
    block_size: Annotated[int, Field(ge=2, le=2**10)] = 32
    """Inputs are turned in blocks of this many, each by a matrix of its own."""


@noun
class NewTokens(FrozenBase):
    """Of the model the rows of its new tokens train, `Pretrained(new_tokens=…)`, and nothing else."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    of_pretrained: ClassVar[str] = "trains new tokens"
    kind: Literal["NewTokens"] = "NewTokens"


@noun
class VirtualTokens(FrozenBase):
    """What the methods share that train states of tokens which stand in no text."""

    usual_learning_rates: ClassVar[Mapping[str, float]] = PROMPTS
    of_pretrained: ClassVar[str] = "puts tokens before the layers"
    merges: ClassVar[bool] = False
    tokens: Annotated[int, Field(ge=1, le=2**12)] = 20
    """How many."""


@noun
class PromptTuning(VirtualTokens):
    """Trained vectors stand among those of each text's tokens, and nothing else is changed (Lester et al. 2021, arXiv
    2104.08691).

    Made by a small network, they are P-tuning (Liu et al. 2021, arXiv 2103.10385). In a model that reads in both
    directions they stand behind the first token, which many heads answer from, else before it.
    """

    kind: Literal["PromptTuning"] = "PromptTuning"
    hidden: Width | None = None
    """Units of a network of three layers that makes the vectors; None trains these themselves."""

    @property
    def positions(self) -> int:
        """They take some of those that the model has."""
        return self.tokens


@noun
class PrefixTuning(VirtualTokens):
    """In each layer all tokens attend to trained keys and values besides (Li and Liang 2021, arXiv 2101.00190; without
    the network that made them there, as in P-tuning v2, Liu et al. 2021, arXiv 2110.07602)."""

    kind: Literal["PrefixTuning"] = "PrefixTuning"
