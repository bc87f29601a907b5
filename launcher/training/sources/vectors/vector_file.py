"""Published word vectors, read word by word: text with a header (`.vec`), without (GloVe), and word2vec's binary.

The first bytes of a file decide which one it is, and whether it is packed; its name does not. Only the wanted rows are
kept, however large the file. What a header promises is checked against the file before anything is trusted, and every
row is counted: one that is too short is reported with its line, as is a field that is not a number. Fields are
separated by blanks or tabs. Where a header gives the dimension, that many last fields are the vector and all before
them is the word, which may hold blanks, be one, or end in a number; without a header most of the first rows decide it.
(gensim's reader trusts the header, keeps all rows and stops at the first bad line.)
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
from launcher.training.fasttext.settings import MAGIC

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]
    Rows = Iterator[tuple[bytes | None, str, Vector | None]]

FIRST_ROWS = 100
"""Rows that decide the dimension where there is no header."""
LONGEST_WORD = 100_000
WIDEST = 100_000
"""Bytes of a word, numbers of a vector: beyond that, what is read is not what it seems."""
BLOCK = 2**20


@dataclass
class FileVectors:
    """The wanted rows of a file."""

    dimension: int
    rows: int = 0
    """Of the whole file."""
    vectors: dict[bytes, Vector] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    """Where wanted words occur again; the first row counts, as it does for gensim."""


def read_vectors(path: Path, wanted: Set[bytes]) -> FileVectors:
    """The vectors of the `wanted` words (UTF-8).

    Raises DataError with the damaged rows (the first ones by number), or for a header that does not fit the file.
    """
    with opened(path, str(path)) as (file, packed):
        return _Reading(file, str(path), None if packed else path.stat().st_size, wanted).read()


class _Reading:
    def __init__(self, file: io.BufferedReader, name: str, size: int | None, wanted: Set[bytes]) -> None:
        """`size` in bytes; None where it is not known because the file is packed."""
        self.file, self.name, self.size, self.wanted = file, name, size, wanted
        self.findings = Findings()
        self.longer = 0
        """Rows of a text with a header that hold more numbers than it promises."""

    def read(self) -> FileVectors:
        """Read the file to its end."""
        if self.file.peek(4)[:4] == MAGIC.to_bytes(4, "little"):
            do = "write FastText(model=…), which knows its subwords too"
            raise DataError(Problem("this is a fastText model, not a list of vectors", self.name, do))
        first = self.file.readline(LONGEST_WORD + 40 * WIDEST).removeprefix(b"\xef\xbb\xbf")
        header = _header(first)
        content = FileVectors(header[1] if header else _usual_dimension([first, *self._ahead().split(b"\n")[:-1]]))
        if header and not 1 <= content.dimension <= WIDEST:
            raise self._refusal(f"the header promises vectors of {content.dimension:,} numbers")
        binary = header is not None and not self._is_text(content.dimension)
        if header and binary:
            self._check(*header, len(first))
            rows = self._binary_rows(*header)
        elif header:
            rows = self._text_rows([], content.dimension, 2, "the header promises")
        elif not 1 <= content.dimension <= WIDEST or _numbers(first, content.dimension) is None:
            do = "write a word and its numbers on each line, parted by blanks or tabs"
            what = "the first line is neither `rows dimension` nor a word and its numbers"
            raise self._refusal(what, do)
        else:
            rows = self._text_rows([first], content.dimension, 1, "all rows have")
        for word, where, vector in rows:
            content.rows += 1
            if word is None:
                continue
            if word in content.vectors:
                content.repeated.append(f"{where}: {word.decode()}")
            elif vector is None or not np.isfinite(vector).all():
                self._complain(f"the vector of {word.decode()!r} holds what is no finite number", where)
            else:
                content.vectors[word] = vector
        if self.longer > content.rows // 2:
            self._complain(f"the header promises {content.dimension:,} numbers a row, most rows have more", "line 1")
        if header and content.rows != header[0] and not len(self.findings):
            self._complain_of_rows(header[0], content, binary)
        self.findings.raise_if_any()
        return content

    def _complain_of_rows(self, promised: int, content: FileVectors, binary: bool) -> None:
        """The header promises other rows than there are: a part of a file is as good as the whole, if that is meant."""
        what = f"the header promises {promised:,} rows, there are {content.rows:,}"
        mend = f"write `{content.rows} {content.dimension}` in its first line"
        if binary:
            do = "fetch the file again"
        elif promised > content.rows:
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
        """Of each row its word where it is wanted, its line and its vector; None for a vector that is damaged.

        `wanted` names what decides the dimension, for messages.
        """
        headed = not first
        longest = LONGEST_WORD + 40 * dimension
        while line := first.pop() if first else self.file.readline(longest):
            if len(line) == longest:
                raise self._refusal(f"line {number:,} is longer than any word and {dimension:,} numbers")
            where, line = f"line {number:,}", line.rstrip()
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
                    self._complain(f"{fields - 1:,} numbers where {wanted} {dimension:,}", where)
                    continue
                if more and not headed:
                    self._complain(f"{fields - 1:,} numbers where {wanted} {dimension:,}", where)
                    continue
            yield (word, where, _numbers(line, dimension)) if word in self.wanted else (None, where, None)

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

    def _complain(self, what: str, where: str, do: str = "") -> None:
        self.findings.add("row", what, f"{self.name}, {where}", do)

    def _refusal(self, what: str, do: str = "fetch the file again") -> DataError:
        return DataError(Problem(f"these are no word vectors: {what}", self.name, do))


def _header(line: bytes) -> tuple[int, int] | None:
    """Rows and dimension, where the line is two whole numbers."""
    parts = line.split()
    if len(parts) == 2 and all(part.isdigit() and len(part) < 16 for part in parts):
        return int(parts[0]), int(parts[1])
    return None


def _usual_dimension(lines: list[bytes]) -> int:
    """The numbers after the first row's word; or of most rows, where there are other fields: a word may hold blanks."""
    fields = lines[0].split()
    if len(fields) > 1 and _values(fields[1:]) is not None:
        return len(fields) - 1
    widths = Counter(len(line.split()) - 1 for line in lines[:FIRST_ROWS] if line.strip())
    return widths.most_common(1)[0][0] if widths else 0


def _word(line: bytes, dimension: int) -> tuple[bytes, int]:
    """What comes before the last `dimension` fields, without the separator, and how many fields there are.

    A word that is a blank comes first, before the blank that separates it from its numbers.
    """
    fields = line.split()
    if len(fields) < dimension:
        return b"", len(fields)
    start = len(line)
    for number in reversed(fields[-dimension:]):
        start = line.rindex(number, 0, start)
    before = line[:start]
    return before.rstrip() or before[:-1], len(fields)


def _numbers(line: bytes, count: int) -> Vector | None:
    """The last `count` fields as numbers, unless one of them is none."""
    return _values(line.rsplit(None, count)[-count:])


def _values(fields: list[bytes]) -> Vector | None:
    try:
        return np.array([float(value) for value in fields], dtype=np.float32)
    except ValueError:
        return None
