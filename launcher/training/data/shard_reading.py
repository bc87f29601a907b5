"""Documents of a shard, some at a time, from any place in it on.

A place is a number that only the reader of its form understands: a byte of a text file (of what a packed one unpacks
to), a row of a row group or of a shard of the hub; START stands for the beginning. Reading on from the place where a
chunk ended gives what reading all at once gives.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple, assert_never

from launcher.errors import DataError, Problem, did_you_mean
from launcher.recipe.language_data import Documents
from launcher.training.data import arrow_streams as arrow
from launcher.training.data.byte_documents import LONGEST, Raw, documents_from, first_begin
from launcher.training.data.cells import fault_in, is_empty
from launcher.training.data.compression import UNREADABLE, opened, unreadable
from launcher.training.data.decoding import read_text
from launcher.training.data.locations import HubSplit, LocalFile, SavedDataset, resolve
from launcher.training.data.stream_source import ROWS, File, StreamSource

START = -1
BUFFER = 2**16
END = 2**63 - 1
PASSED = 2**20
"""Bytes of a packed file that are passed over at a time."""


class Document(NamedTuple):
    """A text, and where it stands."""

    text: str
    where: str


@dataclass
class Chunk:
    """Documents that follow each other in a shard."""

    documents: list[Document] = field(default_factory=list)
    faults: list[Problem] = field(default_factory=list)
    """What is wrong with documents that are not among them."""
    read: int = 0
    """Documents that were read, good ones and others; empty ones are none."""
    place: int = START
    """Where the next chunk begins."""
    ended: bool = False
    """Whether the shard has no more."""


class ShardReader:
    """Reads shards of one source, one after another. What cannot be entered in its middle stays open between chunks."""

    def __init__(self, source: StreamSource):
        self.source = source
        self._open: tuple[int, int, ExitStack, Any] | None = None
        """The shard, the place in it, what closes it, and the file or iterator that stands there."""

    def chunk(self, shard: int, place: int, budget: int) -> Chunk:
        """Documents from `place` on: at least one, and no more than fill `budget` bytes (characters in tables).

        Raises DataError where the file is not what it was, or cannot be read.
        """
        file, index = self.source.place_of(shard)
        if place == START:
            place = self.source.begins.get(shard, START)
        match file.form:
            case "bytes":
                return self._of_bytes(file, index, place, budget)
            case "packed":
                return self._of_packed(file, shard, place, budget)
            case "file":
                text, _ = read_text(_path(file), file.name, file.encoding)
                chunk = Chunk(ended=True, place=END)
                _add(chunk, text, file.name, place == START)
                return chunk
            case "parquet" | "saved" | "hub":
                return self._of_rows(file, shard, index, max(0, place), budget)
            case _:
                assert_never(file.form)

    def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            self._open[2].close()
            self._open = None

    def _of_bytes(self, file: File, index: int, place: int, budget: int) -> Chunk:
        start, stop = self.source.bytes_of(file, index)
        documents = _documents(self.source, file)
        try:
            with _path(file).open("rb", BUFFER) as opened_file:
                _refuse_change(opened_file, file)
                if place == START:
                    place = first_begin(opened_file, start, documents, file.encoding)
                opened_file.seek(place)
                found = documents_from(opened_file, place, stop, documents, file.encoding)
                chunk = Chunk(place=place)
                self._fill(chunk, file, found, place, budget)
                return chunk
        except OSError as error:
            raise DataError(Problem(f"the file cannot be read: {error.strerror}", file.name)) from None

    def _of_packed(self, file: File, shard: int, place: int, budget: int) -> Chunk:
        place, chunk = max(0, place), Chunk(place=max(0, place))
        try:
            reader = self._kept(shard, place) or self._entered(file, shard, place)
            found = documents_from(reader, place, END, _documents(self.source, file), file.encoding)
            self._fill(chunk, file, found, place, budget)
        except UNREADABLE as error:
            self.close()
            problem = unreadable(error, file.name)
            if isinstance(error, OSError) and error.errno is not None:  # a disk's or a network's, which may pass
                raise DataError(problem) from None
            _fault(chunk, problem.what, f"{file.name} byte {chunk.place:,} of what it unpacks to", problem.do)
            chunk.ended = True
        if self._open is not None:
            self._open = (shard, chunk.place, *self._open[2:])
        return chunk

    def _entered(self, file: File, shard: int, place: int) -> Any:
        """A packed file that stands at `place`: what is before it is unpacked and passed over."""
        with _path(file).open("rb") as plain:
            _refuse_change(plain, file)
        stack = ExitStack()
        reader, _ = stack.enter_context(opened(_path(file), file.name, BUFFER))
        self._open = (shard, place, stack, reader)
        left = place
        while left > 0 and (passed := reader.read(min(left, PASSED))):
            left -= len(passed)
        return reader

    def _fill(self, chunk: Chunk, file: File, found: Iterator[Raw], place: int, budget: int) -> None:
        for raw in found:
            chunk.place = raw.end
            self._take(chunk, file, raw)
            if chunk.place - place >= budget:
                return
        chunk.ended = True

    def _take(self, chunk: Chunk, file: File, raw: Raw) -> None:
        where = f"{file.name} byte {raw.begin:,}"
        if raw.data is None:
            what = f"the document of {raw.end - raw.begin:,} bytes is longer than {LONGEST:,}"
            return _fault(chunk, what, where, "say in data.documents what a document is, or cut it")
        try:
            text = raw.data.decode(file.encoding)
        except UnicodeError as error:
            return _fault(chunk, f"the document is not {file.encoding}: {error}", where, "mend the row")
        text = (text.removeprefix("\ufeff") if not raw.begin else text).replace("\r\n", "\n").strip("\n")
        if not file.json:
            return _add(chunk, text, where)
        if not text.strip():
            return None
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            return _fault(chunk, f"the line is not valid JSON: {str(error).partition(':')[0]}", where, "mend the row")
        if not isinstance(value, dict):
            return _fault(chunk, "the row is no JSON object", where, "mend the row")
        if self.source.column not in value:
            do = did_you_mean(self.source.column, map(str, value))
            return _fault(chunk, f"the row has no {self.source.column!r}", where, do)
        return _add(chunk, value[self.source.column], where)

    def _of_rows(self, file: File, shard: int, index: int, place: int, budget: int) -> Chunk:
        values = self._kept(shard, place)
        if values is None:
            values = _values(file, index, place, self.source.column)
            self._open = (shard, place, ExitStack(), values)
        assert self._open is not None
        chunk, size = Chunk(place=place), 0
        for value in values:
            chunk.place += 1
            _add(chunk, value, f"{file.name} shard {index:,} row {chunk.place:,}")
            size += len(value) if isinstance(value, str) else 0
            if size >= budget:
                break
        else:
            chunk.ended = True
        self._open = (shard, chunk.place, self._open[2], values)
        return chunk

    def _kept(self, shard: int, place: int) -> Any:
        """What stands open at that place; all else is closed."""
        if self._open is not None and self._open[:2] == (shard, place):
            return self._open[3]
        self.close()
        return None


def _documents(source: StreamSource, file: File) -> Documents:
    return "lines" if file.json else source.documents


def _values(file: File, index: int, place: int, column: str) -> Iterator[Any]:
    resolved = resolve(file.location)
    match resolved:
        case HubSplit():
            return arrow.hub_values(resolved, file.name, column, index, place)
        case SavedDataset():
            start, stop = index * ROWS + place, min(file.size, (index + 1) * ROWS)
            return arrow.saved_values(resolved.path, file.name, column, start, stop)
        case LocalFile():
            with resolved.path.open("rb") as plain:
                _refuse_change(plain, file)
            return arrow.parquet_values(resolved.path, file.name, column, index, place)
        case _:
            assert_never(resolved)


def _add(chunk: Chunk, text: Any, where: str, wanted: bool = True) -> None:
    """Add a document, unless there is nothing to see in it; or what is wrong with it."""
    if not wanted or text is None or (isinstance(text, str) and is_empty(text)):
        return
    if not isinstance(text, str):
        _fault(chunk, f"the text is {repr(text)[:40]}, not a string", where, "mend the row")
    elif fault := fault_in(text):
        _fault(chunk, fault, where, "mend the row")
    else:
        chunk.read += 1
        chunk.documents.append(Document(text, where))


def _fault(chunk: Chunk, what: str, where: str, do: str) -> None:
    chunk.read += 1
    chunk.faults.append(Problem(what, where, do))


def _path(file: File) -> Any:
    resolved = resolve(file.location)
    assert not isinstance(resolved, HubSplit)
    return resolved.path


def _refuse_change(opened_file: IO[bytes], file: File) -> None:
    """Raise DataError where the file is not the one that the run was planned with: its shards would be others."""
    if os.fstat(opened_file.fileno()).st_size != file.size:
        do = "start a new run; a corpus must stay as it is while it is streamed"
        raise DataError(Problem("the file has changed since the run began", file.name, do))
