"""Documents in the bytes of a text file, found from any place in it: what is read by ranges of bytes needs no index.

A document belongs to the range in which it begins. So ranges that meet share no document and lose none, whatever lies
across their border. Lines end with LF, which in UTF-8, GB18030, Big5 and Shift-JIS is never a part of a character.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

from launcher.recipe.language_data import Documents

LONGEST = 2**24
"""Bytes of one document. A longer one is a file without line ends, and would have to be held in memory whole."""
LOOK_BACK = 2**16
SHORT = 256
"""Bytes: a longer line of white space beyond ASCII counts as a line with text."""


class Raw(NamedTuple):
    """A document's place in the file and its bytes; None where it is longer than LONGEST."""

    begin: int
    end: int
    data: bytes | None


def first_begin(file: IO[bytes], start: int, documents: Documents, encoding: str) -> int:
    """Where to begin to read, at `start` or after it: never inside of a document."""
    if start == 0:
        return 0
    if documents == "lines":
        file.seek(start - 1)
        return start - 1 + _line(file)[1]
    at = _line_begin(file, start - 1)
    file.seek(at)
    while True:  # the line that holds the byte before `start`, then on to the next empty one
        line, size = _line(file)
        at += size
        if not size or _is_empty(line, encoding):
            return at


def documents_from(file: IO[bytes], at: int, stop: int, documents: Documents, encoding: str) -> Iterator[Raw]:
    """The documents that begin in [at, stop); `file` stands at `at`, and after each of them at its end."""
    if documents == "lines":
        while at < stop:
            line, size = _line(file)
            if not size:
                return
            yield Raw(at, at + size, line)
            at += size
        return
    begin, lines, length = -1, list[bytes](), 0
    while True:
        line, size = _line(file)
        empty = _is_empty(line, encoding)
        if begin >= 0 and empty:
            yield Raw(begin, at + size, b"".join(lines) if length <= LONGEST else None)
            begin = -1
        if not size:
            return
        if not empty:
            if begin < 0:
                if at >= stop:
                    return
                begin, lines, length = at, [], 0
            length += size
            if line is not None and length <= LONGEST:
                lines.append(line)
            else:
                length, lines = LONGEST + 1, []
        at += size


def _line(file: IO[bytes]) -> tuple[bytes | None, int]:
    """The next line and its bytes; None for one that is too long, which is passed over."""
    line = file.readline(LONGEST)
    size = len(line)
    if size < LONGEST or line.endswith(b"\n"):
        return line, size
    while rest := file.readline(LONGEST):
        size += len(rest)
        if rest.endswith(b"\n"):
            break
    return None, size


def _is_empty(line: bytes | None, encoding: str) -> bool:
    """Whether there is nothing but white space in it, as in a line of one full-width space."""
    if line is None or not line.strip():
        return line is not None
    return len(line) < SHORT and not line.decode(encoding, "replace").strip()


def _line_begin(file: IO[bytes], place: int) -> int:
    """Where the line begins that has the byte at `place`."""
    while place > 0:
        step = min(LOOK_BACK, place)
        file.seek(place - step)
        found = file.read(step).rfind(b"\n")
        if found >= 0:
            return place - step + found + 1
        place -= step
    return 0
