"""Standard output and error that never end a process: what cannot be shown is not shown.

A terminal that was closed, a reader that has left, a full disk, a stream that was closed before we began, a locale
without Chinese: a run goes on without its output, and a command that only prints can fail at the end (see `lost`).
"""

from __future__ import annotations

import io
import os
import select
import sys
from pathlib import Path
from typing import Any, TextIO

PIECE = 4096
"""Bytes that a pipe takes at once where it takes any."""
SECONDS_FOR_A_READER = 2.0
"""How long a run waits for a reader (a terminal that was held, `| less`) before it drops output."""

_standard: list[Patient] = []
"""The standard output and error, once they are these."""


class Patient(io.RawIOBase):
    """Writes to a descriptor all that it takes; the rest is dropped, and the first reason is kept."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor
        self.lost: OSError | None = None
        self.seconds: float | None = None
        """Seconds to wait for a reader; None waits for ever."""
        self.behind = False
        """Whether the reader was too slow, and has not caught up since."""

    def fileno(self) -> int:
        """The descriptor, for children."""
        return self.descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self.descriptor)

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any, /) -> int:
        """Writes and reports success in any case; `lost` keeps the first error."""
        left = memoryview(data).cast("B")
        whole = len(left)
        try:
            while left and self._wanted():
                try:
                    left = left[os.write(self.descriptor, left[:PIECE]) :]
                except BlockingIOError:  # another process that shares the terminal made it non-blocking
                    select.select([], [self.descriptor], [], self.seconds)
        except OSError as error:
            self.lost = self.lost or error
        return whole

    def _wanted(self) -> bool:
        self.behind = not select.select([], [self.descriptor], [], 0.0 if self.behind else self.seconds)[1]
        return not self.behind


def be_patient(encoding: str | None = None) -> None:
    """Make this process's standard streams so, also where it was started without; children inherit whole ones."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: the next file of ours must not be taken for it
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115 (stays open as long as the process)
    sys.stdout = _patient(sys.stdout, 1, encoding)
    sys.stderr = _patient(sys.stderr, 2, encoding)


def print_into(log: Path) -> None:
    """Print at the end of that file from now on, this process and its children, and read nothing."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor, nothing = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (descriptor, 1), (descriptor, 2)):
        os.dup2(old, new)
    os.close(descriptor)
    os.close(nothing)


def wait_for_readers(for_ever: bool) -> None:
    """Whether output waits from now on until it is read; if not, it is dropped after a while."""
    for stream in _standard:
        stream.seconds = None if for_ever else SECONDS_FOR_A_READER


def lost() -> OSError | None:
    """The error by which a part of this process's standard output was lost; None if nothing was."""
    sys.stdout.flush()
    return next((stream.lost for stream in _standard if stream.descriptor == 1), None)


def _patient(stream: TextIO | None, descriptor: int, encoding: str | None) -> TextIO:
    """The stream made patient; one that is not the standard one (a notebook's, a test's), or is patient, stays."""
    if isinstance(_raw(stream), Patient):
        assert stream is not None
        return stream
    if stream is not None and (not isinstance(stream, io.TextIOWrapper) or _number(stream) != descriptor):
        return stream
    if stream is not None:
        stream.flush()
    raw = Patient(descriptor)
    _standard.append(raw)
    unbuffered = stream is not None and stream.write_through
    below: Any = raw if unbuffered else io.BufferedWriter(raw)  # as python -u does
    return io.TextIOWrapper(
        below,
        encoding=encoding or (stream.encoding if stream is not None else "utf-8"),
        errors="backslashreplace",
        line_buffering=descriptor == 2 or (stream is not None and stream.line_buffering),
        write_through=unbuffered,
    )


def _raw(stream: TextIO | None) -> object:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def _number(stream: TextIO) -> int:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return -1
