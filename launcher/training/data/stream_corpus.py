"""A corpus that is streamed, as `prepare` sees it: never read, only looked at.

Of each file the size and the head are looked at; a sample from everywhere stands for the training split wherever rows
must be known beforehand (the tokenizer, the plan, what is shown); validation and test are the first documents of shards
that `split_seed` draws, which training then begins behind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from launcher.errors import DataError, Problem
from launcher.recipe.data import Texts
from launcher.recipe.language_data import sources_of_stream
from launcher.recipe.splits import Files
from launcher.recipe.task import PlainTask
from launcher.training.batches.order import permutation
from launcher.training.data import checks
from launcher.training.data.byte_documents import LONGEST
from launcher.training.data.compression import UNREADABLE, opened
from launcher.training.data.decoding import decode
from launcher.training.data.examples import Corpus, Reading, Row
from launcher.training.data.findings import Findings
from launcher.training.data.locations import LocalFile, resolve, shown_names, sources_of
from launcher.training.data.mojibake import refuse_mojibake
from launcher.training.data.reader import read_split
from launcher.training.data.shard_reading import START, ShardReader
from launcher.training.data.shards import look_at
from launcher.training.data.stream_source import File, StreamSource, cut, unit_of

HEAD = 2**16
"""Bytes of a text file that its encoding is found out from."""
SAMPLE, PLACES = 2**21, 64
"""Bytes of the sample, and how many places of a source it is taken from at most."""
SPREAD = 16
"""Shards that the documents of a split are cut from, where there are many more."""
SHOWN = 5
"""Files that a message names."""
LEFT_OUT = ("utf-16", "utf-32")


def read(data: Texts, task: PlainTask) -> Corpus:
    """Look at everything that `data` names. Raises DataError with all problems of all files together."""
    findings, splits = Findings(), {"train": Reading()}
    names = _names(data, findings)
    sources = _sources(data, names, findings)
    for name in ("validation", "test"):
        if (location := getattr(data, name)) is not None:
            splits[name] = read_split(data, task, sources_of(location, findings, data), names, findings)
    findings.raise_if_any()
    sources, cut_sizes = _cut(data, sources, splits, findings)
    splits["train"].rows = _sample(data, sources, findings)
    refuse_mojibake(splits["train"], findings)
    findings.raise_if_any()
    splits = {name: splits[name] for name in ("train", "validation", "test")}
    if not splits["train"].rows:
        wanted = " and ".join(f"{count:,} for {name}" for name, count in cut_sizes.items()) or "nothing"
        do = "take a larger corpus, or set smaller data.validation_size and data.test_size"
        raise DataError(Problem(f"cutting {wanted} leaves no document of the stream to train on", do=do))
    return Corpus({name: reading.rows for name, reading in splits.items()}, (), _report(splits, cut_sizes), 0, sources)


def _names(data: Texts, findings: Findings) -> dict[str, str]:
    """What to call each location of the recipe in messages."""
    locations: list[Files] = [*sources_of_stream(data).values()]
    locations += [given for given in (data.validation, data.test) if given is not None]
    quiet = Findings()  # the same is noted again where each is read
    return shown_names(source.location for each in locations for source in sources_of(each, quiet, data))


def _sources(data: Texts, names: Mapping[str, str], findings: Findings) -> tuple[StreamSource, ...]:
    """The members of the mixture; notes what is wrong with any of their files."""
    looked_at = {
        name: [
            file
            for source in sources_of(location, findings, data)
            if (file := _file(source.location, names[source.location], data, findings)) is not None
        ]
        for name, location in sources_of_stream(data).items()
    }
    of_no_size = [name for name, files in looked_at.items() if any(file.form in ("saved", "hub") for file in files)]
    if of_no_size and len(looked_at) > 1 and data.weights is None:
        what = (
            f"nobody knows how many bytes {', '.join(map(repr, of_no_size))} has, by which the sources would be mixed"
        )
        findings.add("weights", what, "data.weights", 'give data.weights, as {"wiki": 3, "news": 1}')
    unit = unit_of(file for files in looked_at.values() for file in files)
    sources = []
    for name, files in looked_at.items():
        weight = (data.weights or {}).get(name, 0.0) if data.weights is not None else None
        if weight == 0.0 or not files:
            continue
        if not any(file.shards or file.form == "bytes" for file in files):
            findings.add("empty", "there are no rows in it", ", ".join(file.name for file in files[:SHOWN]))
            continue
        size = float(sum(file.size for file in files) or 1)
        source = StreamSource(
            name, size if weight is None else weight, cut(files, unit), unit, data.documents, data.text, {}
        )
        _check_heads(source, data, findings)
        sources.append(source)
    return tuple(sources)


def _file(location: str, name: str, data: Texts, findings: Findings) -> File | None:
    try:
        file = look_at(location, name, data.documents, data.text, data.encoding or "utf-8")
        if file.form in ("bytes", "packed", "file"):
            return dataclasses.replace(file, encoding=_encoding(file, data))
    except DataError as error:
        findings.absorb(error)
        return None
    return file


def _encoding(file: File, data: Texts) -> str:
    """The encoding of a text file, by its head. Raises DataError where it cannot be read in parts."""
    resolved = resolve(file.location)
    assert isinstance(resolved, LocalFile)
    with opened(resolved.path, file.name) as (opened_file, _):
        head = _head(opened_file, whole=data.faulty == "stop")
    if len(head) > LONGEST and not head.endswith(b"\n"):
        what = f"after {HEAD:,} bytes there is no line end in {LONGEST:,} more, and a document must be shorter"
        raise DataError(Problem(what, file.name, "write a document a line"))
    try:
        _, encoding = decode(head, file.name, data.encoding)
    except DataError:
        good = _good_lines(head, data.encoding or "utf-8") if data.faulty == "skip" else b""
        if len(good) <= len(head) // 2:
            raise
        _, encoding = decode(good, file.name, data.encoding)
    if encoding.startswith(LEFT_OUT) and file.form != "file":
        what = f"a file in {encoding} cannot be entered in its middle"
        raise DataError(Problem(what, file.name, "save it as UTF-8"))
    if file.json and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise DataError(Problem("a JSON list cannot be streamed", file.name, "write an object a line (.jsonl)"))
    return "utf-8" if encoding == "utf-8-sig" else encoding


def _head(file: IO[bytes], whole: bool) -> bytes:
    """The first HEAD bytes and the rest of their last line; unless `whole`, what can be read of a file cut short."""
    parts = list[bytes]()
    try:
        while sum(map(len, parts)) < HEAD and (line := file.readline(LONGEST + 1)):
            parts.append(line)
    except UNREADABLE:
        if whole or not parts:
            raise
    return b"".join(parts)


def _good_lines(head: bytes, encoding: str) -> bytes:
    """The lines that can be decoded, of a file whose others are to be left out."""
    return b"".join(line for line in head.splitlines(keepends=True) if b"\0" not in line and _decodes(line, encoding))


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeError:
        return False
    return True


def _check_heads(source: StreamSource, data: Texts, findings: Findings) -> None:
    """Read the first documents of each file."""
    first = 0
    for file in source.files:
        if not file.shards:
            continue
        try:
            chunk = ShardReader(source).chunk(first, START, HEAD // 4)
            for fault in chunk.faults if data.faulty == "stop" or not chunk.documents else ():
                findings.add("document", fault.what, fault.where, fault.do)
        except DataError as error:
            findings.absorb(error)
        first += file.shards


def _cut(
    data: Texts, sources: tuple[StreamSource, ...], splits: dict[str, Reading], findings: Findings
) -> tuple[tuple[StreamSource, ...], dict[str, int]]:
    """Fill the splits that are not given; the sources without these documents, and how many each split took."""
    sizes = {name: getattr(data, f"{name}_size") for name in ("test", "validation") if name not in splits}
    weights = np.array([source.weight for source in sources])
    parts = np.cumsum(weights) / weights.sum()
    kept: list[StreamSource] = []
    splits |= {name: Reading() for name in sizes}
    for number, source in enumerate(sources):
        before = parts[number - 1] if number else 0.0
        wanted = {name: round(parts[number] * size) - round(before * size) for name, size in sizes.items()}
        rows, begins = _heads(source, wanted, data, number, findings)
        for name, some in rows.items():
            splits[name].rows += some
        kept.append(dataclasses.replace(source, begins=begins))
    for name, size in sizes.items():
        if len(splits[name].rows) < size:
            what = f"the stream has too few documents: of the {size:,} for {name} it has {len(splits[name].rows):,}"
            findings.add("cut", what, do=f"set a smaller data.{name}_size, or take a larger corpus")
    return tuple(kept), sizes


def _heads(
    source: StreamSource, wanted: dict[str, int], data: Texts, number: int, findings: Findings
) -> tuple[dict[str, list[Row]], dict[int, int]]:
    """So many documents for each split from the heads of drawn shards; and where these shards then begin."""
    order, reader, begins = permutation(source.shards, data.split_seed, number), ShardReader(source), dict[int, int]()
    spread, turn, rows = max(1, min(SPREAD, source.shards // 8)), 0, {name: list[Row]() for name in wanted}
    for name, count in wanted.items():
        quota, without = -(-count // spread), 0
        while len(rows[name]) < count and without < source.shards:
            shard = int(order[turn % source.shards])
            some = _first(reader, shard, begins, min(quota, count - len(rows[name])), data, findings)
            rows[name] += some
            turn, without = turn + 1, 0 if some else without + 1
    reader.close()
    return rows, begins


def _first(
    reader: ShardReader, shard: int, begins: dict[int, int], count: int, data: Texts, findings: Findings
) -> list[Row]:
    """The next documents of a shard; `begins` is moved behind them."""
    rows, ended = list[Row](), False
    while len(rows) < count and not ended:
        chunk = reader.chunk(shard, begins.get(shard, START), 1)
        begins[shard], ended = chunk.place, chunk.ended
        rows += [Row(document.text, "", document.where) for document in chunk.documents]
        for fault in chunk.faults if data.faulty == "stop" else ():
            findings.add("document", fault.what, fault.where, fault.do)
    return rows


def _sample(data: Texts, sources: tuple[StreamSource, ...], findings: Findings) -> list[Row]:
    """Documents from everywhere, each source's part by its weight."""
    total, rows = sum(source.weight for source in sources), list[Row]()
    for source in sources:
        reader, places = ShardReader(source), min(PLACES, source.shards)
        budget = max(1, int(SAMPLE * source.weight / total / places))
        for place in range(places):
            chunk = reader.chunk(place * source.shards // places, START, budget)
            rows += [Row(document.text, "", document.where) for document in chunk.documents]
            for fault in chunk.faults if data.faulty == "stop" else ():
                findings.add("document", fault.what, fault.where, fault.do)
        reader.close()
    return rows


def _report(splits: Mapping[str, Reading], sizes: dict[str, int]) -> dict[str, Any]:
    rows = {name: reading.rows for name, reading in splits.items()}
    duplicates = {"handling": "keep", "dropped": {}, **checks.duplicates_report(rows, "document")}
    report: dict[str, Any] = {
        "answer": "document",
        "of": "text",
        "splits": {name: checks.split_report(reading.rows, reading, "document") for name, reading in splits.items()},
        "duplicates": duplicates,
        "tags": {},
        "cut": sizes,
    }
    return {**report, "warnings": checks.warnings_of(report, (), "drop")}  # of a stream none can be dropped


def about(sources: tuple[StreamSource, ...], sampled: list[Row], rows: int) -> dict[str, Any]:
    """What the plan and the first lines tell of a stream. `rows` are those that the sample was encoded into."""
    plain = all(file.form in ("bytes", "file") for source in sources for file in source.files)
    read = sum(len(row.characters.encode(errors="replace")) + 1 for row in sampled)
    size, total = sum(source.size for source in sources), sum(source.weight for source in sources)
    return {
        "sources": {
            source.name: {
                "files": len(source.files),
                "bytes": source.size,
                "shards": source.shards,
                "share": round(source.weight / total, 4),
                "packed": sum(file.form == "packed" for file in source.files),
            }
            for source in sources
        },
        "sampled": len(sampled),
        "rows_a_pass": round(rows * size / read) if plain and read else None,
    }
