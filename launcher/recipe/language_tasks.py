"""Tasks of language models: what is learnt is text, and there are no labels (see `task`)."""

from __future__ import annotations

from typing import ClassVar, Literal

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
