"""What tasks declare of themselves: heads, bodies, metrics, and the kinds of their fields' values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import pydantic

Smoothing = Annotated[float, pydantic.Field(ge=0, lt=1)]
AboveZero = Annotated[float, pydantic.Field(gt=0)]
ClassWeights = Literal["balanced"] | dict[str, AboveZero]
Tokens = Literal["words", "whitespace", "characters", "jieba"]
"""How a raw text is cut where no subword tokenizer does it: into words and marks of punctuation (`do n't , it 's`), at
white space alone, into single characters, or into the Chinese words that jieba finds."""


Better = Literal["max", "min"]
"""Which way a metric is better."""
Metrics = Mapping[str, Better]
"""What a model can be selected by, the first being the default."""
Head = Literal[
    "sequence", "tokens", "tag paths", "span", "entities", "mask", "next", "image",
    "next tokens", "masked tokens", "pretraining", "text to text", "embedding",
]  # fmt: skip
"""What is put on the model: one answer for a whole text, one for each token, these and transitions between them, for
each token whether an answer starts or ends there, one for two entities in a text, or one for an image. Or the head that
a language model came with, which says the word at a mask, or the one that comes next; each next token, those at many
masks, these and whether two texts follow each other, or a text for a text. Or a vector for a text.
"""
SPAN_ENDS = ("start", "end")
"""What a head of spans has its two numbers a token for, in this order."""
Asked = Literal["pairs", "either"]
"""What a finished model is asked about where its rows do not say it: pairs of texts, or also texts alone."""
Body = Literal["static", "encoder", "decoder", "image"]
"""What a head is put on: static vectors with their encoder, a pretrained model that reads a text both ways or only
forwards, or one that takes images.
"""
EVERY_BODY: frozenset[Body] = frozenset({"static", "encoder", "decoder"})
