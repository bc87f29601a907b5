"""Tasks whose answer is a text that the model writes (`launcher.recipe.task`)."""

from __future__ import annotations

from typing import ClassVar, Literal

import pydantic

from launcher.recipe.declared import Body, Head, Metrics, Smoothing
from launcher.recipe.fields import Field
from launcher.recipe.generation import Generation
from launcher.recipe.noun import noun
from launcher.recipe.sizes import Length


@noun
class Writing:
    """What translation and summarisation share.

    An encoder-decoder (T5, BART, Marian, mBART) reads the text and writes the target. A model that only continues texts
    (GPT-2, Llama, Qwen2) needs a `template`: it reads the filled template, and the target is learnt as what follows.
    """

    fields: ClassVar[tuple[Field, ...]] = (Field("text", "text"), Field("target", "target"))
    bodies: ClassVar[frozenset[Body]] = frozenset({"encoder", "decoder"})
    prefix: str = ""
    """What an encoder-decoder reads before each text: T5 was taught with `"translate English to German: "`."""
    template: str | None = None
    """What a model that continues texts reads, with `{text}` in it: `"{text}\\nGerman:"`. None is for encoder-decoders.
    `{{` is a brace."""
    max_target_length: Length = 128
    """Longest target that is learnt, in tokens, its end included: what is beyond is cut and counted."""
    label_smoothing: Smoothing = 0.0
    """Part of each token's target that is shared out among the whole vocabulary; in the training loss only."""
    generation: Generation = pydantic.Field(default_factory=Generation)
    """How texts are written at evaluation and by `predict`."""
    broken: Literal["stop", "skip"] = "stop"
    """What a row does that has a text and no target, or a target and no text: it stops the run before it starts, or is
    left out and counted."""

    @property
    def head(self) -> Head:
        """The template says which."""
        return "text to text" if self.template is None else "next tokens"


@noun
class Translation(Writing):
    """A text in another language. The loss is the cross entropy of the target's tokens, each after the right ones
    before it; what is written is scored by BLEU and chrF as sacreBLEU computes them, 0 to 100.
    """

    metrics: ClassVar[Metrics] = {
        "loss": "min",
        "bleu": "max",
        "chrf": "max",
        "token_accuracy": "max",
        "perplexity": "min",
    }
    kind: Literal["Translation"] = "Translation"
    source_language: str | None = None
    """The text's language as the model's tokenizer names it (mBART `en_XX`, NLLB `eng_Latn`, M2M100 `en`); None where
    the model knows one pair only."""
    target_language: str | None = None
    """The target's, likewise: models of several languages are told to write it by a token of its own. It also says how
    BLEU cuts texts; None looks at the script of the references."""


@noun
class Summarisation(Writing):
    """A shorter text of what a text says: a summary, a headline, a title. As translation, scored by ROUGE-1, -2 and -L
    as rouge-score computes them, 0 to 1; texts without spaces between words by character.
    """

    metrics: ClassVar[Metrics] = {
        "loss": "min",
        "rouge1": "max",
        "rouge2": "max",
        "rougeL": "max",
        "token_accuracy": "max",
        "perplexity": "min",
    }
    kind: Literal["Summarisation"] = "Summarisation"
