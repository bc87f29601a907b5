"""Data of language models: texts without labels (see `data` for how locations are written)."""

from __future__ import annotations

from typing import ClassVar, Literal

from launcher.recipe.fields import Kind
from launcher.recipe.noun import noun
from launcher.recipe.splits import Files, Splits

Documents = Literal["lines", "blank lines", "files"]


@noun
class Texts(Splits):
    """Documents without labels: text files, or a column of CSV, TSV, JSON, JSON lines, Parquet or a set of the hub."""

    holds: ClassVar[frozenset[Kind]] = frozenset({"document"})
    kind: Literal["Texts"] = "Texts"
    train: Files
    """The documents to learn from: a location or a list of locations."""
    validation: Files | None = None
    """The documents that choose the best checkpoint; None cuts them from the training split."""
    test: Files | None = None
    """The documents that the finished model is tested on; None cuts them from the training split."""
    documents: Documents = "lines"
    """What one document is in a text file: a line, the lines between two empty ones, or the whole file."""
    text: str = "text"
    """Column of the text, where a file is a table."""


@noun
class Conversations(Splits):
    """Conversations, in a format that the columns tell: messages, ShareGPT, Alpaca, or prompts and replies.

    JSON, JSON lines, Parquet, a data set of the hub, or CSV and TSV for prompts and replies.
    """

    holds: ClassVar[frozenset[Kind]] = frozenset({"messages"})
    kind: Literal["Conversations"] = "Conversations"
    train: Files
    """The rows to learn from: a location or a list of locations."""
    validation: Files | None = None
    """The rows that choose the best checkpoint; None cuts them from the training split."""
    test: Files | None = None
    """The rows that the finished model is tested on; None cuts them from the training split."""
    messages: str | None = None
    """Column of the list of messages; None takes `messages` or `conversations`, if there is one."""
    prompt: str | None = None
    """Column of what the user says, where a row is one exchange; None takes `instruction`, `prompt`, `question`, …"""
    reply: str | None = None
    """Column of the reply to it; None takes `output`, `response`, `completion`, `answer`, …"""
