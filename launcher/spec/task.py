"""Tasks: what is learnt from a row."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from launcher.spec.noun import noun

Tokens = Literal["words", "characters"]
"""How a raw text is cut where no subword tokenizer does it: at white space, or into single characters."""


@noun
class TextClassification:
    """One label for one text."""

    kind: Literal["TextClassification"] = "TextClassification"
    labels: tuple[str, ...] | None = None
    """The label set; None takes it from the training split, sorted."""


@noun
class TokenClassification:
    """One BIO tag for each token of a sentence (named entities)."""

    kind: Literal["TokenClassification"] = "TokenClassification"
    labels: tuple[str, ...] | None = None
    """The tag set (`O`, `B-PER`, `I-PER`, …); None takes it from the training split."""
    tokens: Tokens = "words"
    """What a row of the data is made of, and how `predict` cuts a raw text."""


Task = Annotated[TextClassification | TokenClassification, Field(discriminator="kind")]

METRICS: dict[str, dict[str, Literal["max", "min"]]] = {
    "TextClassification": {"accuracy": "max", "macro_f1": "max", "loss": "min"},
    "TokenClassification": {"entity_f1": "max", "token_accuracy": "max", "token_f1": "max", "loss": "min"},
}
"""The metrics each task can be selected by, the first being its default, and which way is better."""
