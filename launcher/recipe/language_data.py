"""Data of language models: texts without labels (see `data` for how locations are written)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from launcher.recipe.fields import Kind
from launcher.recipe.noun import noun
from launcher.recipe.splits import Files, Splits

Documents = Literal["lines", "blank lines", "files"]
Weight = Annotated[float, Field(ge=0, le=1e9)]


@noun
class Texts(Splits):
    """Documents without labels: text files, or a column of CSV, TSV, JSON, JSON lines, Parquet or a set of the hub.

    With `streaming` the training split is read while the model trains, and may be larger than memory and disk caches.
    """

    holds: ClassVar[frozenset[Kind]] = frozenset({"document"})
    kind: Literal["Texts"] = "Texts"
    train: Files | dict[str, Files]
    """The documents to learn from: a location or a list of locations; or, of a stream, several by name, which `weights`
    mixes."""
    validation: Files | None = None
    """The documents that choose the best checkpoint; None cuts them from the training split."""
    test: Files | None = None
    """The documents that the finished model is tested on; None cuts them from the training split."""
    documents: Documents = "lines"
    """What one document is in a text file: a line, the lines between two empty ones, or the whole file."""
    text: str = "text"
    """Column of the text, where a file is a table."""
    streaming: bool = False
    """Whether the training documents are read while the model trains: from text, JSON lines (both may be packed, but
    such a file cannot be entered in its middle), Parquet, saved data sets and the hub. `training.max_steps` says how
    long the model trains, `training.epochs` how often a source is read at most."""
    weights: dict[str, Weight] | None = None
    """Of a stream of several: the share of the rows that each gives, as {"wiki": 3, "news": 1}. None mixes them by
    their size in bytes."""
    faulty: Literal["stop", "skip"] = "stop"
    """What a document of a stream does that cannot be used (no valid JSON, no text, other encoding, too long, the end
    of a packed file that is cut short): it ends the run, or is left out and counted."""


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


def streams(data: Any) -> bool:
    """Whether its training split is read while the model trains."""
    return bool(getattr(data, "streaming", False))


def sources_of_stream(data: Texts) -> Mapping[str, Files]:
    """What a stream is mixed from, by name."""
    return data.train if isinstance(data.train, dict) else {"train": data.train}
