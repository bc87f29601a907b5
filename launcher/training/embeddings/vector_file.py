"""Published word vectors, read word by word: text with a header (`.vec`), without (GloVe), and word2vec's binary.

Which one a file is, its first bytes tell, not its name; so they do whether it is packed. Only the rows that are asked
for are kept, however large the file. What a header promises is held against the file before anything is believed,
and every row is counted: one that is too short or too long is told with its number, as is a number that is none.
(gensim's reader believes the header, keeps all rows and stops at the first bad line.)
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from launcher.errors import DataError, Problem
from launcher.training.data.packed import opened
from launcher.training.embeddings.fasttext_file import MAGIC

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]

MOST_TOLD = 5
"""Damaged rows that are told one by one."""
LONGEST_WORD = 100_000
WIDEST = 100_000
"""Bytes of a word, numbers of a vector: beyond that, what is read is not what it seems."""
BLOCK = 2**20


@dataclass
class Found:
    """The rows of a file that were asked for."""

    dimension: int
    rows: int = 0
    """Of the whole file."""
    vectors: dict[bytes, Vector] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    """Places of words that were asked for and stand there again; the first row counts, as it does for gensim."""


def read_vectors(path: Path, wanted: Set[bytes]) -> Found:
    """The vectors of the `wanted` words (UTF-8).

    Raises DataError with the damaged rows (the first ones by number), or for a header that the file does not keep.
    """
    with opened(path, str(path)) as (file, packed):
        return _Reading(file, str(path), None if packed else path.stat().st_size, wanted).found()


class _Reading:
    def __init__(self, file: io.BufferedReader, name: str, size: int | None, wanted: Set[bytes]) -> None:
        """`size` in bytes; None where it is not known because the file is packed."""
        self.file, self.name, self.size, self.wanted = file, name, size, wanted
        self.problems: list[Problem] = []
        self.damaged = 0

    def found(self) -> Found:
        """Read the file to its end."""
        if self.file.peek(4)[:4] == MAGIC.to_bytes(4, "little"):
            do = "write FastText(model=…), which knows its subwords too"
            raise DataError(Problem("this is a fastText model, not a list of vectors", self.name, do))
        first = self.file.readline(LONGEST_WORD + 40 * WIDEST).removeprefix(b"\xef\xbb\xbf")
        header = _header(first)
        found = Found(header[1] if header else len(_stripped(first).split(b" ")) - 1)
        if header:
            self._check(*header, len(first))
        elif not 1 <= found.dimension <= WIDEST or _numbers(first, found.dimension) is None:
            raise self._refusal("the first line is neither `rows dimension` nor a word and its numbers")
        if header and not self._is_text(found.dimension):
            rows = self._binary_rows(*header)
        else:
            rows = self._text_rows([] if header else [first], found.dimension, 2 if header else 1)
        for word, place, vector in rows:
            found.rows += 1
            if word is None:
                continue
            if word in found.vectors:
                found.repeated.append(f"{place}: {word.decode()}")
            elif vector is None or not np.isfinite(vector).all():
                self._complain(f"the vector of {word.decode()!r} holds what is no finite number", place)
            else:
                found.vectors[word] = vector
        if header and found.rows != header[0]:
            self._complain(f"the header promises {header[0]:,} rows, there are {found.rows:,}", "line 1")
        if self.damaged > MOST_TOLD:
            self.problems.append(Problem(f"and {self.damaged - MOST_TOLD:,} more", self.name, "fetch the file again"))
        if self.problems:
            raise DataError(self.problems)
        return found

    def _check(self, rows: int, dimension: int, length: int) -> None:
        """A row takes two bytes or more for its word, and two or more for a number, as text or not."""
        if not 1 <= dimension <= WIDEST:
            raise self._refusal(f"the header promises vectors of {dimension:,} numbers")
        if self.size is not None and length + rows * (2 + 2 * dimension) - 1 > self.size:
            what = f"the header promises {rows:,} rows of {dimension:,} numbers"
            raise self._refusal(f"{what}, for which a file of {self.size:,} bytes is too small")

    def _is_text(self, dimension: int) -> bool:
        """Whether words and numbers in digits come next: elsewhere bytes of numbers come after the first space."""
        line, end, _ = self.file.peek(BLOCK)[: LONGEST_WORD + 40 * dimension].partition(b"\n")
        numbers = _stripped(line).split(b" ")[1:]
        return _numbers(b" ".join([b"", *(numbers if end else numbers[:-1])]), 0) is not None and bool(numbers)

    def _text_rows(
        self, first: list[bytes], dimension: int, number: int
    ) -> Iterator[tuple[bytes | None, str, Vector | None]]:
        """Of each row its word where it is wanted, its place and its vector; None for a vector that is none."""
        longest = LONGEST_WORD + 40 * dimension
        while line := first.pop() if first else self.file.readline(longest):
            if len(line) == longest:
                raise self._refusal(f"line {number:,} is longer than any word and {dimension:,} numbers")
            place, line = f"line {number:,}", _stripped(line)
            number += 1
            spaces = line.count(b" ")
            # published files hold a few words with spaces in them (`at name@domain.com`)
            word = line[: line.find(b" ")] if spaces == dimension else line.rsplit(b" ", dimension)[0]
            if spaces < dimension or (spaces > dimension and _numbers(word, 1) is not None):
                if line:
                    self._complain(f"{spaces:,} numbers where all rows have {dimension:,}", place)
                continue
            yield (word, place, _numbers(line, dimension)) if word in self.wanted else (None, place, None)

    def _binary_rows(self, rows: int, dimension: int) -> Iterator[tuple[bytes | None, str, Vector | None]]:
        """As `_text_rows`; a row is a word, a space, and the bytes of its numbers, with or without an end of line."""
        data, start, size = b"", 0, 4 * dimension
        for number in range(1, rows + 1):
            while (space := data.find(b" ", start)) < 0 or len(data) < space + 1 + size:
                if space < 0 and len(data) - start > LONGEST_WORD:
                    raise self._refusal(f"the word of row {number:,} has no end")
                block = self.file.read(BLOCK)
                if not block:
                    return
                data, start = data[start:] + block, 0
            word = data[start:space].lstrip(b"\n")
            start = space + 1 + size
            values = np.frombuffer(data, "<f4", dimension, space + 1).copy() if word in self.wanted else None
            yield (word if values is not None else None), f"row {number:,}", values
        if (data[start:] + self.file.read(2)).strip(b"\n"):
            self._complain(f"the header promises {rows:,} rows, and the file goes on after them", "line 1")

    def _complain(self, what: str, place: str) -> None:
        self.damaged += 1
        if self.damaged <= MOST_TOLD:
            self.problems.append(Problem(what, f"{self.name}, {place}"))

    def _refusal(self, what: str) -> DataError:
        return DataError(Problem(f"these are no word vectors: {what}", self.name, "fetch the file again"))


def _header(line: bytes) -> tuple[int, int] | None:
    """Rows and dimension, where the line is two whole numbers."""
    parts = line.split()
    if len(parts) == 2 and all(part.isdigit() and len(part) < 16 for part in parts):
        return int(parts[0]), int(parts[1])
    return None


def _stripped(line: bytes) -> bytes:
    return line.rstrip(b" \r\n")


def _numbers(line: bytes, count: int) -> Vector | None:
    """The last `count` fields (0: all but the first) as numbers, unless one of them is none."""
    fields = line.rstrip(b" \r\n").rsplit(b" ", count or -1)[1:]
    try:
        return np.array([float(value) for value in fields], dtype=np.float32)
    except ValueError:
        return None
