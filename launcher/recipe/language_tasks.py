"""Tasks of language models: what is learnt is text, and there are no labels (see `task`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import pydantic

from launcher.recipe.declared import Body, Head, Metrics
from launcher.recipe.fields import Field
from launcher.recipe.generation import Generation
from launcher.recipe.noun import noun

PERPLEXITY: Metrics = {"perplexity": "min", "token_accuracy": "max", "loss": "min"}


@noun
class CausalLanguageModel:
    """Each token of a text from those before it: pretraining, or going on with it on texts of one's own.

    A row is a document. One that is longer than the model's input is read in parts, each of which begins with the last
    token of the one before; so every token but a document's first is learnt once. Two documents never share an input.
    """

    head: ClassVar[Head] = "next tokens"
    fields: ClassVar[tuple[Field, ...]] = (Field("text", "document"),)
    bodies: ClassVar[frozenset[Body]] = frozenset({"decoder"})
    metrics: ClassVar[Metrics] = PERPLEXITY
    kind: Literal["CausalLanguageModel"] = "CausalLanguageModel"
    generation: Generation = pydantic.Field(default_factory=Generation)
    """How it goes on with a text: a few are shown at each evaluation."""


@noun
class MaskedLanguageModel:
    """Hidden tokens of a text from those around them (BERT, Devlin et al. 2019, arXiv 1810.04805).

    Which are hidden is drawn anew in every epoch, as in RoBERTa: 80 of 100 become the mask, 10 any token, 10 stay as
    they are. At evaluation it is the same ones each time. A row is a document, or a part of one that fits the model.
    """

    fields: ClassVar[tuple[Field, ...]] = (Field("text", "document"),)
    bodies: ClassVar[frozenset[Body]] = frozenset({"encoder"})
    metrics: ClassVar[Metrics] = PERPLEXITY
    kind: Literal["MaskedLanguageModel"] = "MaskedLanguageModel"
    masked: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.15
    """Part of the tokens that are hidden."""
    whole_words: bool = False
    """Whether all tokens of a word are hidden together (Cui et al. 2021, arXiv 1906.08101); Chinese words are those
    that jieba finds."""
    next_sentence: bool = False
    """Whether the model also learns if two parts of a text follow each other, as BERT did. A row is then such a pair,
    and in half of them the second is taken from another document. Documents need several sentences, or lines."""

    @property
    def head(self) -> Head:
        """With pairs it is another one."""
        return "pretraining" if self.next_sentence else "masked tokens"
