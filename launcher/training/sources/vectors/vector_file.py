"""Published word vectors, read word by word: text with a header (`.vec`), without (GloVe), and word2vec's binary.

Which one a file is, its first bytes tell, not its name; so they do whether it is packed. Only the rows that are asked
for are kept, however large the file. What a header promises is held against the file before anything is believed,
and every row is counted: one that is too short is told with its number, as is a number that is none. Fields are parted
by blanks or tabs. Where a header tells the dimension, the last so many fields are the vector and all before them is the
word, which may hold blanks, be one, or end in a number; where there is none, most of the first rows tell it.
(gensim's reader believes the header, keeps all rows and stops at the first bad line.)
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from launcher.errors import DataError, Problem
from launcher.training.data.compression import opened
from launcher.training.data.findings import Findings
from launcher.training.sources.vectors.fasttext_bin import MAGIC

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]
    Rows = Iterator[tuple[bytes | None, str, Vector | None]]

FIRST_ROWS = 100
"""Rows that tell the dimension where no header does."""
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
        self.findings = Findings()
        self.longer = 0
        """Rows of a text with a header that hold more numbers than it promises."""

    def found(self) -> Found:
        """Read the file to its end."""
        if self.file.peek(4)[:4] == MAGIC.to_bytes(4, "little"):
            do = "write FastText(model=…), which knows its subwords too"
            raise DataError(Problem("this is a fastText model, not a list of vectors", self.name, do))
        first = self.file.readline(LONGEST_WORD + 40 * WIDEST).removeprefix(b"\xef\xbb\xbf")
        header = _header(first)
        found = Found(header[1] if header else _usual_dimension([first, *self._ahead().split(b"\n")[:-1]]))
        if header and not 1 <= found.dimension <= WIDEST:
            raise self._refusal(f"the header promises vectors of {found.dimension:,} numbers")
        binary = header is not None and not self._is_text(found.dimension)
        if header and binary:
            self._check(*header, len(first))
            rows = self._binary_rows(*header)
        elif header:
            rows = self._text_rows([], found.dimension, 2, "the header promises")
        elif not 1 <= found.dimension <= WIDEST or _numbers(first, found.dimension) is None:
            do = "write a word and its numbers on each line, parted by blanks or tabs"
            what = "the first line is neither `rows dimension` nor a word and its numbers"
            raise self._refusal(what, do)
        else:
            rows = self._text_rows([first], found.dimension, 1, "all rows have")
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
        if self.longer > found.rows // 2:
            self._complain(f"the header promises {found.dimension:,} numbers a row, most rows have more", "line 1")
        if header and found.rows != header[0] and not len(self.findings):
            self._complain_of_rows(header[0], found, binary)
        self.findings.raise_if_any()
        return found

    def _complain_of_rows(self, promised: int, found: Found, binary: bool) -> None:
        """The header promises other rows than there are: a part of a file is as good as the whole, if that is meant."""
        what = f"the header promises {promised:,} rows, there are {found.rows:,}"
        mend = f"write `{found.rows} {found.dimension}` in its first line"
        if binary:
            do = "fetch the file again"
        elif promised > found.rows:
            do = f"if these are the first lines of a larger file, {mend}; else fetch it again"
        else:
            do = f"{mend} if all rows are meant"
        self._complain(what, "line 1", do)

    def _check(self, rows: int, dimension: int, length: int) -> None:
        """A binary row takes two bytes or more for its word, and four for a number."""
        if self.size is not None and length + rows * (1 + 4 * dimension) - 1 > self.size + 4 * dimension:
            what = f"the header promises {rows:,} rows of {dimension:,} numbers"
            raise self._refusal(f"{what}, for which a file of {self.size:,} bytes is too small")

    def _ahead(self) -> bytes:
        return self.file.peek(BLOCK)

    def _is_text(self, dimension: int) -> bool:
        """Whether words and numbers in digits come next: elsewhere bytes of numbers come after the first space."""
        line, end, _ = self._ahead()[: LONGEST_WORD + 40 * dimension].lstrip(b"\r\n").partition(b"\n")
        fields = line.split() if end else line.split()[:-1]
        numbers = fields[-dimension:] if len(fields) >= dimension else fields[1:]
        return bool(numbers) and _values(numbers) is not None

    def _text_rows(self, first: list[bytes], dimension: int, number: int, wanted: str) -> Rows:
        """Of each row its word where it is wanted, its place and its vector; None for a vector that is none.

        `wanted` says who tells the dimension.
        """
        headed = not first
        longest = LONGEST_WORD + 40 * dimension
        while line := first.pop() if first else self.file.readline(longest):
            if len(line) == longest:
                raise self._refusal(f"line {number:,} is longer than any word and {dimension:,} numbers")
            place, line = f"line {number:,}", line.rstrip()
            number += 1
            if line.count(b" ") == dimension and b"\t" not in line and b"  " not in line and line[:1] != b" ":
                word = line[: line.find(b" ")]
            elif not line:
                continue
            else:
                word, fields = _word(line, dimension)
                more = fields > dimension + 1 and _numbers(word, 1) is not None
                self.longer += more
                if fields < dimension or (fields == dimension and not word and line[:1] not in b" \t"):
                    self._complain(f"{fields - 1:,} numbers where {wanted} {dimension:,}", place)
                    continue
                if more and not headed:
                    self._complain(f"{fields - 1:,} numbers where {wanted} {dimension:,}", place)
                    continue
            yield (word, place, _numbers(line, dimension)) if word in self.wanted else (None, place, None)

    def _binary_rows(self, rows: int, dimension: int) -> Rows:
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

    def _complain(self, what: str, place: str, do: str = "") -> None:
        self.findings.add("row", what, f"{self.name}, {place}", do)

    def _refusal(self, what: str, do: str = "fetch the file again") -> DataError:
        return DataError(Problem(f"these are no word vectors: {what}", self.name, do))


def _header(line: bytes) -> tuple[int, int] | None:
    """Rows and dimension, where the line is two whole numbers."""
    parts = line.split()
    if len(parts) == 2 and all(part.isdigit() and len(part) < 16 for part in parts):
        return int(parts[0]), int(parts[1])
    return None


def _usual_dimension(lines: list[bytes]) -> int:
    """What the first row has behind its word; or most rows, where that is no numbers alone: a word may hold blanks."""
    fields = lines[0].split()
    if len(fields) > 1 and _values(fields[1:]) is not None:
        return len(fields) - 1
    widths = Counter(len(line.split()) - 1 for line in lines[:FIRST_ROWS] if line.strip())
    return widths.most_common(1)[0][0] if widths else 0


def _word(line: bytes, dimension: int) -> tuple[bytes, int]:
    """What stands before the last `dimension` fields, without the mark that parts them, and how many fields there are.

    A word that is a blank stands at the beginning, before the one that parts it from its numbers.
    """
    fields = line.split()
    if len(fields) < dimension:
        return b"", len(fields)
    place = len(line)
    for number in reversed(fields[-dimension:]):
        place = line.rindex(number, 0, place)
    before = line[:place]
    return before.rstrip() or before[:-1], len(fields)


def _numbers(line: bytes, count: int) -> Vector | None:
    """The last `count` fields as numbers, unless one of them is none."""
    return _values(line.rsplit(None, count)[-count:])


def _values(fields: list[bytes]) -> Vector | None:
    try:
        return np.array([float(value) for value in fields], dtype=np.float32)
    except ValueError:
        return None
