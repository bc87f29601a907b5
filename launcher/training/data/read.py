"""From a place to rows: one `match` over the kinds of data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import assert_never

from launcher.errors import DataError, Problem
from launcher.spec.data import Columns, Data, LabelledFiles, Table, TaggedWords
from launcher.spec.task import Task, TextClassification, TokenClassification
from launcher.training.data.arrow import hub_cells, parquet_cells, saved_cells
from launcher.training.data.findings import Findings
from launcher.training.data.objects import json_cells
from launcher.training.data.places import HubSplit, LocalFile, SavedDataset, resolve
from launcher.training.data.rows import Place, Reading
from launcher.training.data.sentences import read_columns, read_tagged_words
from launcher.training.data.tables import Cells, csv_cells, tsv_cells
from launcher.training.data.text import lines_of, read_text
from launcher.training.data.values import MISSING, add_sentence, add_text, fault_in

TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
Names = dict[str, str]


def places_of(place: Place) -> list[str]:
    """The places one split is read from."""
    return list(place.values()) if isinstance(place, dict) else [place]


def read_split(data: Data, task: Task, place: Place, names: Names, findings: Findings) -> Reading:
    """The rows of one split, in the order of the file. `names` has what to call each place in messages.

    Notes in `findings` what is wrong with rows, and files that cannot be read.
    """
    reading = Reading()
    before = len(findings)
    try:
        _read(reading, data, task, place, names, findings)
    except DataError as error:
        findings.absorb(error)
    if not reading.rows and len(findings) == before:
        shown = ", ".join(names[one] for one in places_of(place))
        empty = f": all {reading.empty_rows:,} are empty" if reading.empty_rows else ""
        findings.add("file", f"there are no rows to use{empty}", shown)
    return reading


def _read(reading: Reading, data: Data, task: Task, place: Place, names: Names, findings: Findings) -> None:
    match data:
        case Table():
            _read_table(reading, task, _one(place), names, (data.text, data.label), findings)
        case LabelledFiles():
            if isinstance(place, str):
                _read_table(reading, task, _as_table(place), names, ("text", "label"), findings)
            else:
                _read_labelled(reading, place, names, findings)
        case Columns():
            text = _text_file(reading, _one(place), names)
            read_columns(reading, text, names[_one(place)], data, findings)
        case TaggedWords():
            text = _text_file(reading, _one(place), names)
            read_tagged_words(reading, text, names[_one(place)], data, findings)
        case _:
            assert_never(data)


def refuse_mismatch(data: Data, task: Task) -> None:
    """Raise DataError where data of this kind holds no rows for this task."""
    if isinstance(task, TextClassification) and isinstance(data, Columns | TaggedWords):
        raise DataError(Problem(f"{data.kind} holds tagged sentences, not labelled texts", do="use a Table"))
    if isinstance(task, TokenClassification) and isinstance(data, LabelledFiles):
        raise DataError(Problem("LabelledFiles holds whole texts, not tagged sentences", do="use Columns"))


def read_texts(path: Path, column: str = "text") -> list[str]:
    """The texts of a file, in its order, without labels.

    A .csv, .tsv, .json, .jsonl or .parquet file gives its `column`; any other file one text a line, where an
    empty line is an empty text. Raises DataError for what cannot be read.
    """
    place = str(path)
    names = {place: path.name}
    if PurePosixPath(place).suffix.lower() not in TABLES:
        return lines_of(_text_file(Reading(), place, names))
    findings = Findings()
    texts: list[str] = []
    for number, (value,) in _table_cells(Reading(), place, names, (column,), findings):
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


def _one(place: Place) -> str:
    if isinstance(place, dict):
        raise DataError(Problem("files by label are read by LabelledFiles only", do="give one place"))
    return place


def _as_table(place: str) -> str:
    if PurePosixPath(place).suffix.lower() not in TABLES:
        do = 'give {"label": "file"} for files of one label each, or a table with the columns text and label'
        raise DataError(Problem("the file says nothing of labels", place, do))
    return place


def _read_table(
    reading: Reading, task: Task, place: str, names: Names, columns: tuple[str, str], findings: Findings
) -> None:
    add = add_sentence if isinstance(task, TokenClassification) else add_text
    if add is add_sentence and PurePosixPath(place).suffix.lower() in (".csv", ".tsv"):
        what = "cells of a CSV or TSV file are single strings, and a sentence is a list of tokens"
        raise DataError(Problem(what, names[place], "use JSON lines or Parquet, or Columns for CoNLL files"))
    for number, (text, label) in _table_cells(reading, place, names, columns, findings):
        add(reading, text, label, f"{names[place]} row {number:,}", findings)


def _table_cells(
    reading: Reading, place: str, names: Names, columns: tuple[str, ...], findings: Findings
) -> Iterator[Cells]:
    name = names[place]
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
    ending = found.path.suffix.lower()
    if ending == ".parquet":
        return parquet_cells(found.path, name, columns)
    if ending not in TABLES:
        raise DataError(Problem(f"a table cannot be read from a {ending or 'nameless'} file", name, _endings(ending)))
    text = _text_file(reading, place, names)
    if ending == ".csv":
        return csv_cells(text, name, columns, findings)
    if ending == ".tsv":
        return tsv_cells(text, name, columns, findings)
    return json_cells(text, name, ending, columns, findings)


def _endings(ending: str) -> str:
    if ending in (".gz", ".bz2", ".xz", ".zip", ".zst"):
        return "unpack it first"
    return "a Table is read from " + ", ".join(TABLES)


def _read_labelled(reading: Reading, place: dict[str, str], names: Names, findings: Findings) -> None:
    for label, file in place.items():
        try:
            text = _text_file(reading, file, names)
        except DataError as error:
            findings.absorb(error)
            continue
        for number, line in enumerate(lines_of(text), 1):
            add_text(reading, line, label, f"{names[file]} line {number:,}", findings)


def _text_file(reading: Reading, place: str, names: Names) -> str:
    found = resolve(place)
    if not isinstance(found, LocalFile):
        raise DataError(Problem(f"{place} is not a text file", do="only a Table reads data sets of the hub"))
    text, encoding = read_text(found.path, names[place])
    if not text.strip():
        raise DataError(Problem("the file is empty", names[place]))
    reading.encodings[names[place]] = encoding
    return text
