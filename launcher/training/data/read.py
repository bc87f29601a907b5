"""From the files of a split to rows: one `match` over the kinds of data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from launcher.errors import DataError, Problem
from launcher.spec.data import Columns, Data, LabelledFiles, LabelledLines, Table, TaggedWords
from launcher.spec.task import Task, TextClassification, TokenClassification
from launcher.training.data.arrow import hub_cells, parquet_cells, saved_cells
from launcher.training.data.bio import tags_to_bio
from launcher.training.data.findings import Findings
from launcher.training.data.lines import read_labelled_lines
from launcher.training.data.mojibake import refuse_mojibake
from launcher.training.data.objects import json_cells
from launcher.training.data.packed import ending_of
from launcher.training.data.places import HubSplit, LocalFile, SavedDataset, Source, resolve
from launcher.training.data.rows import Reading
from launcher.training.data.sentences import read_columns, read_tagged_words
from launcher.training.data.tables import Cells, csv_cells, tsv_cells
from launcher.training.data.text import lines_of, read_text
from launcher.training.data.values import MISSING, add_sentence, add_text, fault_in

TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
Names = dict[str, str]


def read_split(data: Data, task: Task, sources: list[Source], names: Names, findings: Findings) -> Reading:
    """The rows of one split, in the order of its files. `names` has what to call each place in messages.

    Notes in `findings` what is wrong with rows, and files that cannot be read.
    """
    reading = Reading()
    before = len(findings)
    for source in sources:
        try:
            _read(reading, data, task, source, names, findings)
        except DataError as error:
            findings.absorb(error)
    if isinstance(task, TokenClassification):
        tags_to_bio(reading, findings)
    refuse_mojibake(reading, findings)
    if sources and not reading.rows and len(findings) == before:
        shown = ", ".join(names[source.place] for source in sources[:12])
        empty = f": all {reading.empty_rows:,} are empty" if reading.empty_rows else ""
        findings.add("file", f"there are no rows to use{empty}", shown)
    return reading


def _read(reading: Reading, data: Data, task: Task, source: Source, names: Names, findings: Findings) -> None:
    place, name = source.place, names[source.place]
    if source.label is not None and not isinstance(data, LabelledFiles):
        raise DataError(Problem("files by label are read by LabelledFiles only", do="give one place"))
    match data:
        case Table():
            _read_table(reading, data, task, place, names, (data.text, data.label), findings)
        case LabelledFiles():
            if source.label is None:
                _read_table(reading, data, task, _as_table(place), names, ("text", "label"), findings)
                return
            for number, line in enumerate(lines_of(_text_file(reading, place, name, data.encoding)), 1):
                add_text(reading, line, source.label, f"{name} line {number:,}", findings)
        case Columns():
            read_columns(reading, _text_file(reading, place, name, data.encoding), name, data, findings)
        case TaggedWords():
            read_tagged_words(reading, _text_file(reading, place, name, data.encoding), name, data, findings)
        case LabelledLines():
            read_labelled_lines(reading, _text_file(reading, place, name, data.encoding), name, data, findings)
        case _:
            assert_never(data)


def refuse_mismatch(data: Data, task: Task) -> None:
    """Raise DataError where data of this kind holds no rows for this task."""
    if isinstance(task, TextClassification) and isinstance(data, Columns | TaggedWords):
        raise DataError(Problem(f"{data.kind} holds tagged sentences, not labelled texts", do="use a Table"))
    if isinstance(task, TokenClassification) and isinstance(data, LabelledFiles | LabelledLines):
        raise DataError(Problem(f"{data.kind} holds whole texts, not tagged sentences", do="use Columns"))


def read_texts(path: Path, column: str = "text", encoding: str | None = None) -> list[str]:
    """The texts of a file, in its order, without labels; `encoding` is what the recipe says of its data.

    A .csv, .tsv, .json, .jsonl or .parquet file gives its `column`; any other file one text a line, where an
    empty line is an empty text. Raises DataError for what cannot be read.
    """
    place = str(path)
    if ending_of(place) not in TABLES:
        return lines_of(_text_file(Reading(), place, path.name, encoding))
    findings = Findings()
    texts: list[str] = []
    for number, (value,) in _table_cells(Reading(), place, path.name, (column,), findings, encoding):
        where = f"{path.name} row {number:,}"
        if value is None or isinstance(value, str):
            texts.append(value or "")
            fault = fault_in(value or "")
        else:
            fault = "the row has no text" if value is MISSING else "the text is not a string"
        if fault:
            findings.add("text", fault, where)
    findings.raise_if_any()
    return texts


def _as_table(place: str) -> str:
    if ending_of(place) not in TABLES:
        do = 'give {"label": "file"} for files of one label each, or a table with the columns text and label'
        raise DataError(Problem("the file says nothing of labels", place, do))
    return place


def _read_table(
    reading: Reading,
    data: Data,
    task: Task,
    place: str,
    names: Names,
    columns: tuple[str, str],
    findings: Findings,
) -> None:
    name = names[place]
    add = add_sentence if isinstance(task, TokenClassification) else add_text
    if add is add_sentence and ending_of(place) in (".csv", ".tsv"):
        what = "cells of a CSV or TSV file are single strings, and a sentence is a list of tokens"
        raise DataError(Problem(what, name, "use JSON lines or Parquet, or Columns for CoNLL files"))
    for number, (text, label) in _table_cells(reading, place, name, columns, findings, data.encoding):
        add(reading, text, label, f"{name} row {number:,}", findings)


def _table_cells(
    reading: Reading,
    place: str,
    name: str,
    columns: tuple[str, ...],
    findings: Findings,
    encoding: str | None = None,
) -> Iterator[Cells]:
    found = resolve(place)
    match found:
        case HubSplit():
            return hub_cells(found, name, columns)
        case SavedDataset():
            return saved_cells(found.path, name, columns)
        case LocalFile():
            pass
        case _:
            assert_never(found)
    ending = ending_of(place)
    if ending == ".parquet":
        return parquet_cells(found.path, name, columns)
    if ending not in TABLES:
        do = (
            "unpack it first"
            if ending == ".zip"
            else f"a Table is read from {', '.join(TABLES)}; name such files of a folder by a pattern"
        )
        raise DataError(Problem(f"a table cannot be read from a {ending or 'nameless'} file", name, do))
    text = _text_file(reading, place, name, encoding)
    if ending == ".csv":
        return csv_cells(text, name, columns, findings)
    if ending == ".tsv":
        return tsv_cells(text, name, columns, findings)
    return json_cells(text, name, ending, columns, findings)


def _text_file(reading: Reading, place: str, name: str, encoding: str | None = None) -> str:
    found = resolve(place)
    if not isinstance(found, LocalFile):
        raise DataError(Problem(f"{place} is not a text file", do="only a Table reads data sets of the hub"))
    text, told = read_text(found.path, name, encoding)
    if not text.strip():
        raise DataError(Problem("the file is empty", name))
    reading.encodings[name] = told
    return text
