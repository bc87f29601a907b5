"""From the files of a split to rows: one `match` over the kinds of data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from launcher.errors import DataError, Problem
from launcher.recipe.about_images import reads_images, skips_broken
from launcher.recipe.data import (
    Columns,
    Conversations,
    Data,
    ImageFolders,
    LabelledFiles,
    LabelledLines,
    ParallelLines,
    Questions,
    SemEvalLines,
    Table,
    TaggedWords,
    Texts,
)
from launcher.recipe.fields import Field
from launcher.recipe.task import PlainTask, answer_of, lacking, of_entities, tokens_of_rows
from launcher.training.data import images, passages, spans, targets
from launcher.training.data.answers import remarks_on
from launcher.training.data.arrow import hub_cells, parquet_cells, saved_cells
from launcher.training.data.cells import add_sentence, add_tagged, add_text
from launcher.training.data.compression import ending_of
from launcher.training.data.conll import read_columns, read_related, read_tagged_words
from launcher.training.data.conversations import Format, add_conversations
from launcher.training.data.decoding import lines_of, read_text
from launcher.training.data.delimited import Cells, Layout, Wanted, delimited_cells
from launcher.training.data.documents import documents_in
from launcher.training.data.entities import add_related
from launcher.training.data.examples import Reading, Source
from launcher.training.data.fasttext_lines import read_labelled_lines
from launcher.training.data.findings import Findings
from launcher.training.data.json_tables import json_cells
from launcher.training.data.locations import HubSplit, LocalFile, SavedDataset, folder_of, resolve
from launcher.training.data.mojibake import refuse_mojibake
from launcher.training.data.semeval_lines import read_semeval
from launcher.training.data.tag_schemes import tags_to_bio

NAMED = (".json", ".jsonl", ".parquet")
"""Endings of files that name their own columns."""
TABLES = (".csv", ".tsv", *NAMED)
LABELLED = (
    "the file holds no labels",
    'give {"label": "file"} for files of one label each, or a table with the columns text and label',
)
PAIRED = (
    "the file holds one side alone",
    'give {"text": "file", "target": "file"}, or a table with the columns text and target',
)
"""What is said of files that are no tables where the data has several of them, and what to do."""
Names = dict[str, str]


def read_split(data: Data, task: PlainTask, sources: list[Source], names: Names, findings: Findings) -> Reading:
    """The rows of one split, in the order of its files. `names` has what to call each location in messages.

    Notes in `findings` what is wrong with rows, and files that cannot be read.
    """
    reading = Reading()
    before = len(findings)
    for source in sources:
        try:
            _read(reading, data, task, source, names, findings)
        except DataError as error:
            findings.absorb(error)
    if answer_of(task) == "tags":
        _cut_spanned(reading, task, findings)
        tags_to_bio(reading, findings)
    if answer_of(task) == "target":
        targets.conclude(reading, task, findings)
    if lacking(task, frozenset({"text", "passage"})) == "passages":
        passages.refuse_without_negatives(reading.rows, findings)
    if answer_of(task) == "document":  # words that are tagged are a text as well
        reading.rows = [replace(row, text="".join(row.text), label="") for row in reading.rows]
    reading.notes += remarks_on(reading.noticed)
    if reads_images(task):
        images.look_at_all(reading, task, findings)
    else:
        refuse_mojibake(reading, findings)
    if sources and not reading.rows and len(findings) == before:
        shown = ", ".join(names[source.location] for source in sources[:12])
        empty = f": all {reading.empty_rows:,} are empty" if reading.empty_rows else ""
        findings.add("file", f"there are no rows to use{empty}", shown)
    return reading


def _cut_spanned(reading: Reading, task: PlainTask, findings: Findings) -> None:
    """Make rows of the texts whose entities are marked by their offsets."""
    if not reading.spanned:
        return
    marked = spans.Marked()
    tokens = tokens_of_rows(task) or spans.usual_tokens(text for text, _, _ in reading.spanned)
    for text, marks, where in reading.spanned:
        words, tags = spans.tagged(text, marks, tokens, marked, where)
        add_tagged(reading, words, tags, where, findings)
    spans.conclude(marked, tokens, reading.notes, findings)
    reading.spanned, reading.tokens = [], tokens


def _read(reading: Reading, data: Data, task: PlainTask, source: Source, names: Names, findings: Findings) -> None:
    location, name = source.location, names[source.location]
    if source.label is not None and not isinstance(data, LabelledFiles | ImageFolders | ParallelLines):
        raise DataError(Problem("files by label are read by LabelledFiles only", do="give one location"))
    match data:
        case Table():  # and Questions and Pairs, which are such
            _read_table(reading, data, task, location, names, columns_of(data, task), findings)
        case LabelledFiles():
            if source.label is None:
                _read_table(reading, data, task, _as_table(location, LABELLED), names, ("text", "label"), findings)
                return
            for number, line in enumerate(lines_of(text_file(reading, location, name, data.encoding)), 1):
                add_text(reading, line, source.label, f"{name} line {number:,}", findings)
        case ImageFolders():
            images.add_image(reading, location, source.label, location, Path(), findings)
        case Columns():
            read = read_columns if data.relation is None else read_related
            read(reading, text_file(reading, location, name, data.encoding), name, data, findings)
        case TaggedWords():
            read_tagged_words(reading, text_file(reading, location, name, data.encoding), name, data, findings)
        case LabelledLines():
            text, answer = text_file(reading, location, name, data.encoding), answer_of(task)
            read_labelled_lines(reading, text, name, data, answer, findings)
        case SemEvalLines():
            read_semeval(reading, text_file(reading, location, name, data.encoding), name, findings)
        case ParallelLines():
            if source.label is None:
                _read_table(reading, data, task, _as_table(location, PAIRED), names, ("text", "target"), findings)
                return
            lines = lines_of(text_file(reading, location, name, data.encoding))
            targets.add_lines(reading, source.label, name, lines)
        case Texts():
            _read_documents(reading, data, location, name, findings)
        case Conversations():
            known = Format(data)
            cells = table_cells(reading, location, name, known.choose, findings, layout_of(data))
            add_conversations(reading, cells, known, name, findings, skips_broken(task))
        case _:
            assert_never(data)


def columns_of(data: Table, task: PlainTask) -> tuple[str, ...]:
    """The columns that hold the task's fields: the first text, the answer, and what else the rows have of them."""
    fields = task.fields if len(task.fields) > 1 else task.fields * 2  # a text that is all there is
    first, *others, answer = (_column(data, field) for field in fields)
    several = [(column,) if isinstance(column, str) else column or () for column in others]
    if isinstance(data, Questions) and data.answer_start is not None:
        several.append((data.answer_start,))
    return str(first), str(answer), *(column for columns in several for column in columns)


def _column(data: Table, field: Field) -> str | tuple[str, ...] | None:
    named: str | tuple[str, ...] | None = getattr(data, field.name)
    return field.name if named is None and field.kind in ("image", "target") else named


def paths_in(data: Data, task: PlainTask, sources: list[Source]) -> list[Path]:
    """The files besides their own that tables of images name, in order; what is wrong with rows is told elsewhere."""
    reading, findings = Reading(), Findings()
    for source in sources if isinstance(data, Table) and reads_images(task) else ():
        _read(reading, data, task, source, {source.location: source.location}, findings)
    return [source for source, *_ in reading.unseen if isinstance(source, Path)]


def layout_of(data: Data) -> Layout:
    """How the text files of this data hold tables."""
    if isinstance(data, Table):
        return Layout(data.separator, data.columns, data.encoding)
    return Layout(encoding=data.encoding)


def _read_documents(reading: Reading, data: Texts, location: str, name: str, findings: Findings) -> None:
    """Add each document of a text file or a table."""
    if ending_of(location) in TABLES or not isinstance(resolve(location), LocalFile):
        cells = table_cells(reading, location, name, (data.text,), findings, layout_of(data))
        for number, (text,) in cells:
            add_text(reading, text, None, f"{name} row {number:,}", findings, "document")
        return
    for line, text in documents_in(text_file(reading, location, name, data.encoding), data.documents):
        add_text(reading, text, None, f"{name} line {line:,}", findings, "document")


def _as_table(location: str, otherwise: tuple[str, str]) -> str:
    if ending_of(location) not in TABLES:
        raise DataError(Problem(otherwise[0], location, otherwise[1]))
    return location


def _read_table(
    reading: Reading,
    data: Data,
    task: PlainTask,
    location: str,
    names: Names,
    columns: tuple[str, ...],
    findings: Findings,
) -> None:
    name, answer, layout = names[location], answer_of(task), layout_of(data)
    if of_entities(task):
        rows = list(table_cells(reading, location, name, columns, findings, layout))
        add_related(reading, rows, columns[2:], name, findings)
        return
    separator = data.label_separator if isinstance(data, Table) and answer == "labels" else ""
    folder = folder_of(location)
    for number, (text, label, *pair) in table_cells(reading, location, name, columns, findings, layout):
        if reads_images(task):
            images.add_image(reading, text, label, f"{name} row {number:,}", folder, findings)
        elif answer == "tags":
            add_sentence(reading, text, label, f"{name} row {number:,}", findings)
        elif answer == "target":
            targets.add_target(reading, text, label, f"{name} row {number:,}", findings)
        elif answer == "passage":
            passages.add_passages(reading, text, label, pair, f"{name} row {number:,}", findings)
        else:
            add_text(reading, text, label, f"{name} row {number:,}", findings, answer, separator, *pair)


def table_cells(
    reading: Reading,
    location: str,
    name: str,
    columns: Wanted,
    findings: Findings,
    layout: Layout,
) -> Iterator[Cells]:
    """These columns of a table, with the number of each row."""
    resolved = resolve(location)
    match resolved:
        case HubSplit():
            return hub_cells(resolved, name, columns)
        case SavedDataset():
            return saved_cells(resolved.path, name, columns)
        case LocalFile():
            pass
        case _:
            assert_never(resolved)
    ending = ending_of(location)
    if ending in NAMED and (layout.header or layout.separator):
        do = "leave data.columns and data.separator out: they are for text files, as .csv"
        raise DataError(Problem(f"a {ending} file names its own columns", name, do))
    if ending == ".parquet":
        return parquet_cells(resolved.path, name, columns)
    if ending not in TABLES and (layout.separator is None or ending == ".zip"):
        do = (
            "unpack it first"
            if ending == ".zip"
            else f"a Table is read from {', '.join(TABLES)}, and from other text files with Table(separator='\\t'); "
            "name such files of a folder by a pattern"
        )
        raise DataError(Problem(f"a table cannot be read from a {ending or 'nameless'} file", name, do))
    text = text_file(reading, location, name, layout.encoding)
    if ending in NAMED:
        return json_cells(text, name, ending, columns, findings)
    mark = layout.separator or ("," if ending == ".csv" else "\t")
    return delimited_cells(text, name, columns, findings, replace(layout, separator=mark))


def text_file(reading: Reading, location: str, name: str, encoding: str | None = None) -> str:
    """What a text file holds; its encoding is noted."""
    resolved = resolve(location)
    if not isinstance(resolved, LocalFile):
        raise DataError(Problem(f"{location} is not a text file", do="only a Table reads data sets of the hub"))
    text, detected = read_text(resolved.path, name, encoding)
    if not text.strip():
        raise DataError(Problem("the file is empty", name))
    reading.encodings[name] = detected
    return text
