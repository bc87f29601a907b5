"""Texts of a file without labels, in its order."""

from __future__ import annotations

from pathlib import Path

from launcher.training.data.cells import MISSING, fault_in
from launcher.training.data.compression import ending_of
from launcher.training.data.decoding import lines_of
from launcher.training.data.delimited import Layout
from launcher.training.data.examples import Reading
from launcher.training.data.findings import Findings
from launcher.training.data.reader import TABLES, table_cells, text_file


def read_texts(path: Path, column: str = "text", encoding: str | None = None) -> list[str]:
    """The texts of a file, in its order, without labels; `encoding` is what the recipe says of its data.

    A .csv, .tsv, .json, .jsonl or .parquet file gives its `column`; any other file one text a line, where an
    empty line is an empty text. Raises DataError for what cannot be read.
    """
    if ending_of(str(path)) not in TABLES:
        return lines_of(text_file(Reading(), str(path), path.name, encoding))
    return [text for (text,) in _texts_of_columns(path, (column,), encoding)]


def read_pairs(path: Path, encoding: str | None = None) -> list[tuple[str, str]]:
    """As `read_texts`, two texts each: the columns `text` and `text_pair` of a table, else lines parted by a tab."""
    if ending_of(str(path)) in TABLES:
        return [(text, pair) for text, pair in _texts_of_columns(path, ("text", "text_pair"), encoding)]
    findings, pairs = Findings(), []
    for number, line in enumerate(lines_of(text_file(Reading(), str(path), path.name, encoding)), 1):
        if line.count("\t") == 1:
            text, pair = line.split("\t")
            pairs.append((text, pair))
        else:
            what = f"the line has {line.count(chr(9)):,} tabs; a pair is two texts with one between them"
            findings.add("pair", what, f"{path.name} line {number:,}")
    findings.raise_if_any()
    return pairs


def _texts_of_columns(path: Path, columns: tuple[str, ...], encoding: str | None) -> list[tuple[str, ...]]:
    findings, rows = Findings(), []
    for number, values in table_cells(Reading(), str(path), path.name, columns, findings, Layout(encoding=encoding)):
        rows.append(tuple(str(value or "") for value in values))
        for value in values:
            if value is None or isinstance(value, str):
                fault = fault_in(value or "")
            else:
                fault = "the row has no text" if value is MISSING else "the text is not a string"
            if fault:
                findings.add("text", fault, f"{path.name} row {number:,}")
    findings.raise_if_any()
    return rows
