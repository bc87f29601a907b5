"""Tables as text: CSV, TSV, JSON and JSON lines. Each gives (row number, values of the wanted columns).

A row's number is the line of the file on which it starts (the header is line 1); in a JSON file that is one
list, it is the number of the object in that list.

A TSV file may be meant in two ways: quoted as CSV is (spreadsheets, pandas), or with quotes that are just
characters of the text (SST-2, ChnSentiCorp). Where each line has as many cells as the header, quotes are
taken as quoting only if every cell that opens with one also closes with one. Where the lines are uneven,
they are taken as quoting only if that makes every row even. So a lone quote never swallows the lines below.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from launcher.errors import DataError, Problem, did_you_mean
from launcher.training.data.findings import Findings
from launcher.training.data.text import lines_of
from launcher.training.data.values import LARGEST_TEXT

Cells = tuple[int, tuple[Any, ...]]
Numbered = tuple[int, list[str]]


def csv_cells(text: str, name: str, columns: tuple[str, ...], findings: Findings) -> Iterator[Cells]:
    """The columns of a CSV file. Raises DataError where a column does not exist; notes broken rows."""
    rows, broken = _csv_rows(text, ",")
    for number, fault in broken:
        do = "double the quotes inside a quoted cell, and close each that is opened"
        findings.add("csv", f"the row is not valid CSV: {fault}", f"{name} row {number:,}", do)
    return _chosen(rows, name, columns, findings, "put a text that holds commas between double quotes")


def tsv_cells(text: str, name: str, columns: tuple[str, ...], findings: Findings) -> Iterator[Cells]:
    """The columns of a TSV file. Raises DataError where a column does not exist; notes broken rows."""
    lines = [(number, line) for number, line in enumerate(lines_of(text), 1)]
    single = next((line for _, line in lines if line), "").count("\t") == 0
    literal = [(number, line.split("\t")) for number, line in lines if line or (single and number > 1)]
    opening = [cell for _, row in literal for cell in row if cell.startswith('"')]
    rows = literal
    if opening and (not _even(literal) or all(map(_is_quoted, opening))):
        quoted, broken = _csv_rows(text, "\t")
        rows = quoted if not broken and _even(quoted) else literal
    return _chosen(rows, name, columns, findings, "a text must not hold tabs")


def positions(header: list[str], columns: tuple[str, ...], name: str) -> list[int]:
    """Where each wanted column stands. Raises DataError that names the columns there are."""
    problems = []
    for column in columns:
        if header.count(column) > 1:
            problems.append(Problem(f"{header.count(column)} columns are called {column!r}", name))
        elif column not in header:
            problems.append(_no_column(column, header, name))
    if problems:
        raise DataError(problems)
    return [header.index(column) for column in columns]


def _no_column(column: str, header: list[str], name: str) -> Problem:
    there = ", ".join(repr(printed[:60]) for printed in header[:20]) or "none"
    near = did_you_mean(column, header)
    do = (
        near
        if near.startswith("did")
        else "the first line names the columns; a recipe says Table(text='sentence'), and `predict` takes 'text'"
    )
    other = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), "")
    if other:
        do = f"the cells seem to be parted by {other!r}; a .csv file takes commas and a .tsv file tabs"
    return Problem(f"there is no column {column!r}; the columns are {there}", name, do)


def _chosen(rows: list[Numbered], name: str, columns: tuple[str, ...], findings: Findings, do: str) -> Iterator[Cells]:
    if not rows:
        raise DataError(Problem("the file holds no header", name, "the first line names the columns"))
    header = [cell.strip() for cell in rows[0][1]]
    return _picked(rows, positions(header, columns, name), name, findings, do)


def _picked(rows: list[Numbered], wanted: list[int], name: str, findings: Findings, do: str) -> Iterator[Cells]:
    width = len(rows[0][1])
    for number, row in rows[1:]:
        if len(row) == width:
            yield number, tuple(row[position] for position in wanted)
        else:
            what = f"the row has {len(row):,} cells, the header has {width:,}"
            findings.add("cells", what, f"{name} row {number:,}", do)


def _csv_rows(text: str, delimiter: str) -> tuple[list[Numbered], list[tuple[int, str]]]:
    """All rows with the line each starts on, and what is broken where. Blank lines are no rows."""
    rows: list[Numbered] = []
    broken: list[tuple[int, str]] = []
    limit = csv.field_size_limit(LARGEST_TEXT)  # the module's own is 131,072
    try:
        reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
        while True:
            start = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return rows, broken
            except csv.Error as error:
                large = f"a cell has more than {LARGEST_TEXT:,} characters"
                broken.append((start, large if "field limit" in str(error) else str(error)))
                continue
            if row or (rows and len(rows[0][1]) == 1):
                rows.append((start, row or [""]))
    finally:
        csv.field_size_limit(limit)


def _even(rows: Iterable[Numbered]) -> bool:
    return len({len(row) for _, row in rows}) <= 1


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell.endswith('"') and '"' not in cell[1:-1].replace('""', "")
