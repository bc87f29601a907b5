"""From a file to its bytes: packed files are unpacked (within bounds), files that hold no text are refused.

Both are judged by the first bytes, never by the name: a download is often unpacked and keeps its name, and a
spreadsheet is often renamed to .csv.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from launcher.errors import DataError, Problem

ENDINGS = (".gz", ".bz2", ".xz", ".zst")
SMALLEST_BOUND = 2**26
LARGEST_RATIO = 100
"""A packed file may unpack to so many times its size, or to SMALLEST_BOUND bytes. Text packs 3 to 20 times smaller."""
LARGEST_MEMORY = 2**27
"""Bytes that unpacking may hold, twice what `xz -9` needs; zstd's library takes no more by itself."""
BLOCK, PART = 2**20, 2**16
UNREADABLE = (EOFError, zlib.error, lzma.LZMAError, OSError)
"""What reading a packed file may raise."""
FOREIGN = {
    b"PAR1": ("a Parquet file", "name it .parquet and read it as a Table"),
    b"PK\x03\x04": ("a ZIP archive (or an office document)", "unpack it, or save the table as CSV in UTF-8"),
    b"\xd0\xcf\x11\xe0": ("an old office document", "save the table as CSV in UTF-8"),
    b"%PDF-": ("a PDF document", "save its text"),
    b"\x89PNG": ("a picture", "name the file that holds the rows"),
    b"\xff\xd8\xff": ("a picture", "name the file that holds the rows"),
    b"SQLite format 3\0": ("a database", "save the table as CSV in UTF-8"),
    b"\x7fELF": ("a program", "name the file that holds the rows"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it"),
    b"ARROW1": ("an Arrow file", "save it as Parquet, or give the folder that save_to_disk wrote"),
}
"""First bytes of files that hold no text, what they are, and what to do."""


def ending_of(location: str) -> str:
    """`.csv` for `a.CSV` and for `a.csv.gz`."""
    path = PurePosixPath(location)
    return (path.with_suffix("") if path.suffix.lower() in ENDINGS else path).suffix.lower()


def read_bytes(path: Path, name: str) -> bytes:
    """The bytes of a text file, unpacked. `name` names it in messages.

    Raises DataError for a file that cannot be opened, is cut short, unpacks to far too much or is no text.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
            file.seek(0)
            data = _unpacked(path, file, start, name)
    except DataError:
        raise
    except UNREADABLE as error:
        raise DataError(unreadable(error, name)) from None
    for mark, (what, do) in FOREIGN.items():
        if data.startswith(mark):
            raise DataError(Problem(f"the file is {what}, whatever its name says", name, do))
    return data


@contextmanager
def opened(path: Path, name: str, block: int = BLOCK) -> Iterator[tuple[io.BufferedReader, bool]]:
    """The file for reading block by block, and whether it is unpacked on the way: for what is too large to hold.

    Raises DataError as `read_bytes` does, also for what fails while it is read.
    """
    try:
        with path.open("rb") as file:
            reader = _reader(file, file.peek(16)[:16])
            yield (file, False) if reader is None else (io.BufferedReader(reader, block), True)
    except UNREADABLE as error:
        raise DataError(unreadable(error, name)) from None


def unreadable(error: Exception, name: str) -> Problem:
    """What is wrong where reading raised one of UNREADABLE."""
    if isinstance(error, OSError) and error.errno is not None:
        return Problem(f"the file cannot be read: {error.strerror}", name)
    if "memory" in str(error).lower():
        what = f"unpacking the file takes more than {LARGEST_MEMORY:,} bytes of memory"
        return Problem(what, name, "unpack it yourself, or pack it anew, as `xz -9` does")
    return Problem(f"the packed file is cut short or damaged: {error}", name, "fetch the file again")


def _unpacked(path: Path, file: IO[bytes], start: bytes, name: str) -> bytes:
    reader = _reader(file, start)
    if reader is None:
        return file.read()
    packed = path.stat().st_size
    bound = max(SMALLEST_BOUND, LARGEST_RATIO * packed)
    parts, size = [], 0
    while part := reader.read(BLOCK):
        parts.append(part)
        size += len(part)
        if size > bound:
            what = f"the packed file of {packed:,} bytes unpacks to more than {bound:,}, which no text does"
            raise DataError(Problem(what, name, "unpack it yourself if that is meant"))
    return b"".join(parts)


def _reader(file: IO[bytes], start: bytes) -> Any:
    """What unpacks the file, or None where it is not packed."""
    if start.startswith(b"\x1f\x8b"):
        return _Blocks(gzip.GzipFile(fileobj=file).read1)
    if start.startswith(b"BZh") and start[4:10] == b"1AY&SY":
        return _Blocks(bz2.BZ2File(file).read1)
    if start.startswith(b"\xfd7zXZ\0"):
        return _XZ(file)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow

        return _Blocks(pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd").read)
    return None


class _Blocks(io.RawIOBase):
    """What these libraries unpack, asked for in blocks of one size: of a file that is cut short the same bytes can be
    read, whatever size they are asked for in.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.unpack, self.left = read, memoryview(b"")

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, or a part of it; 0 at the end."""
        if not self.left:
            self.left = memoryview(self.unpack(PART))
        count = min(len(buffer), len(self.left))
        buffer[:count] = self.left[:count]
        self.left = self.left[count:]
        return count


class _XZ(io.RawIOBase):
    """What `lzma.LZMAFile` does, within bounds: there a few bytes of a file can claim gigabytes of memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.stream = file, _stream()

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, or a part of it; 0 after the last of the streams that may follow each other."""
        while True:
            data = b""
            if self.stream.eof:
                data = self.stream.unused_data.lstrip(b"\0")
                while not data and (block := self.file.read(BLOCK)):
                    data = block.lstrip(b"\0")
                if not data:
                    return 0
                self.stream = _stream()
            elif self.stream.needs_input:
                data = self.file.read(BLOCK)
                if not data:
                    raise EOFError("it ends inside a stream")
            if part := self.stream.decompress(data, max_length=len(buffer)):
                buffer[: len(part)] = part
                return len(part)


def _stream() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LARGEST_MEMORY)


def is_packed(path: Path, name: str) -> bool:
    """Whether the file is unpacked while it is read. Raises DataError as `opened` does, and for what is no text."""
    with opened(path, name) as (file, packed):
        start = file.peek(16)[:16]
    for mark, (what, do) in FOREIGN.items():
        if start.startswith(mark):
            raise DataError(Problem(f"the file is {what}, whatever its name says", name, do))
    return packed
