"""What a row of data has, as a task declares it and a kind of data can hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "text", "image", "entities", "label", "labels", "tags", "number", "answers", "document", "messages", "target",
    "passage", "passages",
]  # fmt: skip
"""What stands in a field: a text, an image, the places of two entities in the text; one label, any number of them, one
tag for each token of the text, a number, or the places of answers in the text. Of a language model a document, the
messages of a conversation, or a text that is to be written. Of search the passage that a query is to find, and
passages that it is not to find.
"""


NAMED: frozenset[Kind] = frozenset({"label", "labels", "tags"})
"""Answers that are names out of a set, which the training split settles."""
WRITTEN: frozenset[Kind] = frozenset({"document", "messages", "target"})
"""Answers that are texts: there is no label."""
FREE: frozenset[Kind] = WRITTEN | {"number", "passage"}
"""Answers that may differ for one text without contradicting each other."""


@dataclass(frozen=True)
class Field:
    """One thing that a row has; a table has a column for it."""

    name: str
    """A field of `Table`, which says what the column is called."""
    kind: Kind
    optional: bool = False


NEEDED: Mapping[Kind, str] = {
    "image": "images",
    "label": "one label a text",
    "labels": "the labels of a text",
    "tags": "one tag a token",
    "number": "a number a text",
    "answers": "answers in a text",
    "entities": "two entities a text",
    "passage": "passages for queries",
    "passages": "passages that do not belong to their queries",
    "target": "a text to write for each text",
    "messages": "conversations",
    "document": "documents",
    "text": "texts",
}
"""What rows have, by the kind of a field, in words; what tells one from another first."""
