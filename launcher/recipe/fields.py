"""What a row of data has, as a task declares it and a kind of data can hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "label", "labels", "tags", "number"]
"""What stands in a field: a text; one label, any number of them, one tag for each token of the text, or a number."""


@dataclass(frozen=True)
class Field:
    """One thing that a row has; a table has a column for it."""

    name: str
    """A field of `Table`, which says what the column is called."""
    kind: Kind
    optional: bool = False
