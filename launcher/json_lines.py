"""Files of JSON lines that outlive a killed writer: one appends to them, and each reader reads only what is new."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.json_files import finite

BLOCK = 1 << 16
"""Bytes that are read at a time from the end of a file."""


def append_line(path: Path, value: dict[str, Any]) -> None:
    """Append one JSON line in a single write, so that lines are never interleaved; whole or not at all."""
    line = (json.dumps(finite(value), ensure_ascii=False, allow_nan=False) + "\n").encode()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line  # what a killed writer left must not swallow this line too
        written = os.write(descriptor, line)
        if written < len(line):  # a full disk takes a part; the next line must not be glued to it
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


@dataclass
class NewLines:
    """The lines that a file has been given since the last look: no byte is read twice.

    A last line that is still being written is left for the next look. A file that has replaced the one
    before, or was cut, is read from its beginning.
    """

    path: Path
    read: int = 0
    """Bytes of whole lines that were read."""
    seen: tuple[int, int] = (0, 0)
    """Which file it was, and how long."""

    def skip(self) -> None:
        """Leave out the whole lines that are there now."""
        end = 0
        for block, start in _blocks_from_the_end(self.path):
            if b"\n" in block:
                end = start + block.rindex(b"\n") + 1
                break
        self._look()
        self.read = end

    def look(self) -> list[dict[str, Any]]:
        """What is new, in order; none where there is no such file."""
        if not self._look():
            return []
        with self.path.open("rb") as file:  # bytes: a line may be torn inside a character
            file.seek(self.read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self.read += len(whole) + len(newline)
        return list(_parsed(whole.split(b"\n")))

    def _look(self) -> bool:
        """Whether the file is another one or longer than it was."""
        try:
            about = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self.read, self.seen = 0, (0, 0)
            return False
        before, self.seen = self.seen, (about.st_ino, about.st_size)
        if self.seen[0] != before[0] or about.st_size < before[1]:
            self.read = 0
        return self.seen != before


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON lines of a file; a last line that is still being written is left out."""
    yield from NewLines(path).look()


def last_lines(path: Path, most: int, counts: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The newest lines that count, oldest first, read from the end of the file."""
    newest: list[dict[str, Any]] = []
    rest: bytes | None = None
    for block, start in _blocks_from_the_end(path):
        if rest is None:  # whether what comes after the last line end is whole is not known yet
            block = block[: block.rfind(b"\n") + 1]
            if not block:
                continue
        first, *whole = (block + (rest or b"")).split(b"\n")
        rest = first
        newest = [line for line in _parsed([first, *whole] if start == 0 else whole) if counts(line)] + newest
        if len(newest) >= most:
            break
    return newest[-most:]


def _blocks_from_the_end(path: Path) -> Iterator[tuple[bytes, int]]:
    """Pieces of the file, the last one first, each with the offset at which it begins."""
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return
    with file:
        start = file.seek(0, os.SEEK_END)
        while start > 0:
            size = min(BLOCK, start)
            start -= size
            file.seek(start)
            yield file.read(size), start


def _parsed(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):  # the torn line of a writer that was killed
            continue
        if isinstance(value, dict):
            yield value
