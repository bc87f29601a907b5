"""Shards: the parts that a streamed corpus is read in. Nothing is read to know them but sizes and tables of contents.

    a text file         ranges of bytes; a document belongs to the one in which it begins
    a packed file       the file: what is packed cannot be entered in its middle
    Parquet             its row groups
    save_to_disk        ranges of rows
    a set of the hub    its own shards, as `datasets` counts them
    documents="files"   each file

Shards are numbered through all files of a source; a number is a place in a table of sums, so a million files take no
more than their names. numpy and files only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from launcher.recipe.language_data import Documents

Form = Literal["bytes", "packed", "file", "parquet", "saved", "hub"]
LARGEST, SMALLEST = 2**20, 2**10
"""Bytes of a text file in one shard."""
WANTED = 4096
"""Shards that a corpus of text files is cut into, where they do not get larger or smaller than that."""
ROWS = 1000
"""Rows of a saved data set in one shard."""


@dataclass(frozen=True)
class File:
    """One file of a source, or one data set, and how it is cut."""

    location: str
    name: str
    """What to call it in messages."""
    form: Form
    size: int
    """Bytes of a file; rows of a saved data set; 0 where neither is known."""
    shards: int
    json: bool = False
    """Whether its lines are JSON objects."""
    encoding: str = "utf-8"
    changed: int = 0
    """When a local file was last changed, in nanoseconds."""


@dataclass(frozen=True)
class StreamSource:
    """Files that are shuffled together: one member of a mixture, or all there is."""

    name: str
    weight: float
    files: tuple[File, ...]
    unit: int
    """Bytes of a text file in one shard."""
    documents: Documents
    column: str
    """Of the text in a table."""
    begins: dict[int, int]
    """Shards that training reads from a later place on, as their first documents are in another split."""

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([file.shards for file in self.files])

    @property
    def shards(self) -> int:
        """How many there are."""
        return int(self._ends[-1])

    @property
    def size(self) -> int:
        """Bytes of its local files."""
        return sum(file.size for file in self.files if file.form != "saved")

    def place_of(self, shard: int) -> tuple[File, int]:
        """The file of a shard, and the number of the shard in the file."""
        number = int(np.searchsorted(self._ends, shard, side="right"))
        return self.files[number], shard - int(self._ends[number]) + self.files[number].shards

    def bytes_of(self, file: File, index: int) -> tuple[int, int]:
        """Where a shard of a text file begins and ends."""
        return index * self.unit, min(file.size, (index + 1) * self.unit)

    @classmethod
    def from_document(cls, values: dict[str, Any]) -> StreamSource:
        """What `dataclasses.asdict` made of one, and JSON of that."""
        files = tuple(File(**file) for file in values["files"])
        begins = {int(shard): int(place) for shard, place in values["begins"].items()}
        return cls(**{**values, "files": files, "begins": begins})


def unit_of(files: Iterable[File]) -> int:
    """Bytes of a shard, for about WANTED of them in all."""
    total = sum(file.size for file in files if file.form == "bytes")
    return max(SMALLEST, min(LARGEST, total // WANTED))


def cut(files: Iterable[File], unit: int) -> tuple[File, ...]:
    """The files with the number of shards of `unit` bytes that each text file has."""
    return tuple(replace(file, shards=-(-file.size // unit)) if file.form == "bytes" else file for file in files)
