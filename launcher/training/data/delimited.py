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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from launcher.errors import DataError, Problem, did_you_mean
from launcher.training.data.cells import LARGEST_TEXT
from launcher.training.data.decoding import lines_of
from launcher.training.data.findings import Findings

Cells = tuple[int, tuple[Any, ...]]
Numbered = tuple[int, list[str]]
Wanted = tuple[str, ...] | Callable[[Sequence[str]], tuple[str, ...]]
"""The columns to read; or what chooses them of those there are, and raises DataError where they are the wrong ones."""
LOOKED_AT = 200
"""Rows examined to decide whether a file has a header."""
ANY = "text='sentence' in the recipe's data; `predict` takes 'text' or --text NAME"
NAMED = {
    "query": "text='question' in the recipe's data",
    "positive": "label='passage' in the recipe's data",
    "negatives": "negatives='others' in the recipe's data; `launcher mine` writes files that have one",
    "label": "label='category' in the recipe's data",
    "text_pair": "text_pair='other' in the recipe's data",
}
"""How another column is named in the place of a usual one that is not there; of others likely the text is sought."""
LONGEST_NAME = 40
"""Characters of a column's name; what is longer is a text."""


@dataclass(frozen=True)
class Layout:
    """How a text file holds a table: what parts its cells, and its columns' names where no line of its own has them."""

    separator: str | None = None
    """None: as the file's ending implies."""
    header: tuple[str, ...] | None = None
    encoding: str | None = None


def delimited_cells(text: str, name: str, columns: Wanted, findings: Findings, layout: Layout) -> Iterator[Cells]:
    """The columns of a CSV, TSV or similar file. Raises DataError for a column that is not there; notes
    broken rows.
    """
    mark = layout.separator or ","
    if mark == "\t" or len(mark) > 1:
        return _chosen(_lines(text, mark), name, columns, findings, f"a text must not hold {_shown(mark)}", layout)
    rows, broken = _csv_rows(text, mark)
    for number, fault in broken:
        do = "double the quotes inside a quoted cell, and close each that is opened"
        findings.add("csv", f"the row is not valid CSV: {fault}", f"{name} row {number:,}", do)
    do = f"put a text that holds {_shown(mark)} between double quotes"
    return _chosen(rows, name, columns, findings, do, layout)


def _lines(text: str, mark: str) -> list[Numbered]:
    """Rows of a line each, unless that is uneven and quoting makes it even."""
    lines = [(number, line) for number, line in enumerate(lines_of(text), 1)]
    single = mark not in next((line for _, line in lines if line), "")
    literal = [(number, line.split(mark)) for number, line in lines if line or (single and number > 1)]
    opening = [cell for _, row in literal for cell in row if cell.startswith('"')]
    if mark == "\t" and opening and (not _even(literal) or all(map(_is_quoted, opening))):
        quoted, broken = _csv_rows(text, mark)
        return quoted if not broken and _even(quoted) else literal
    return literal


def _shown(separator: str) -> str:
    return {",": "commas", "\t": "tabs"}.get(separator) or repr(separator)


def chosen(columns: Wanted, header: Sequence[str], name: str) -> tuple[str, ...]:
    """The columns to read of those in the header. Raises DataError where what chooses them finds none."""
    if isinstance(columns, tuple):
        return columns
    try:
        return columns(header)
    except DataError as error:
        raise DataError(replace(problem, where=problem.where or name) for problem in error.problems) from None


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
    do = f"name the one there is: {NAMED.get(column, ANY)}"
    return Problem(
        f"there is no column {column!r}; the columns are {there}", name, near if near.startswith("did") else do
    )


def _chosen(
    rows: list[Numbered], name: str, wanted_columns: Wanted, findings: Findings, do: str, layout: Layout
) -> Iterator[Cells]:
    if not rows:
        raise DataError(Problem("the file holds no header", name, "the first line names the columns"))
    first = [cell.strip() for cell in rows[0][1]]
    columns = chosen(wanted_columns, first, name)
    if layout.header is None:
        _refuse_other_layout(rows, first, columns, name, layout)
        try:
            wanted = positions(first, columns, name)
        except DataError as error:
            if set(columns) & set(first):
                raise
            if_row = f"; if the first line is a row already, write Table(columns={headings(rows, columns)!r})"
            raise DataError(replace(problem, do=problem.do + if_row) for problem in error.problems) from None
        return _picked(rows[1:], first, wanted, name, findings, do, "the header has")
    if first == list(layout.header):
        do = "leave data.columns out: it is for files without such a line"
        raise DataError(Problem("the first line names the columns already", name, do))
    if not set(columns) & set(layout.header):
        do = f"name {columns[0]!r} among them, or say Table(text={layout.header[0]!r})"
        raise DataError(Problem(f"data.columns has no {columns[0]!r}: {', '.join(layout.header)}", name, do))
    wanted = positions(list(layout.header), columns, name)
    return _picked(rows, layout.header, wanted, name, findings, do, "data.columns names")


def _refuse_other_layout(
    rows: list[Numbered], first: list[str], columns: tuple[str, ...], name: str, layout: Layout
) -> None:
    """Raise DataError where the first line names no columns: another mark parts its cells, or it is a row already."""
    if set(columns) & set(first):
        return
    what = f"the first line names no column {columns[0]!r}"
    other = next((mark for mark in ("_!_", "||", "\t", ";", "|", ",") if len(first) == 1 and mark in first[0]), "")
    names = first if not other else [cell.strip() for cell in first[0].split(other)]
    head = set(columns) & set(names)
    said = "" if head or not (other or _is_a_row(rows)) else f"columns={headings(rows, columns, other)!r}"
    said = ", ".join(part for part in (said, f"separator={other!r}" if other else "") if part)
    if other:
        what = f"the cells seem to be parted by {other!r}, and {_shown(layout.separator or ',')} are expected"
    elif said:
        what = f"the first line seems to be a row already: it names no column {columns[0]!r}"
    else:
        return
    shown = ", ".join(repr(cell[:60]) for cell in first[:20])
    raise DataError(Problem(f"{what}; it reads {shown}", name, f"write Table({said}) in that case"))


def _is_a_row(rows: list[Numbered]) -> bool:
    """Whether the first row looks like the others: one of its cells occurs again below, is a number or a sentence."""
    first = rows[0][1]
    below = [row for _, row in rows[1:LOOKED_AT] if len(row) == len(first)]
    for column, cell in enumerate(first):
        if len(cell) > LONGEST_NAME or cell.strip().lstrip("-").isdigit():
            return True
        if any(row[column] == cell for row in below):
            return True
    return False


def headings(rows: list[Numbered], columns: tuple[str, ...], mark: str = "") -> tuple[str, ...]:
    """A guess of what a file without a header holds: long cells are texts, few different ones are labels."""
    cells = [row[0].split(mark) if mark else row for _, row in rows[:LOOKED_AT]]
    cells = [row for row in cells if len(row) == len(cells[0])]
    held = list(zip(*cells, strict=True))
    by_length = sorted(range(len(held)), key=lambda column: -sum(map(len, held[column])))
    texts = by_length[: len(columns) - 1] if len(held) > 1 else by_length
    rest = [column for column in range(len(held)) if column not in texts]
    kinds = {column: len(set(held[column])) for column in rest}
    label = min(rest, key=lambda column: (kinds[column] == 1, kinds[column]), default=None)
    named = dict(zip(sorted(texts), [columns[0], *columns[2:]], strict=False))
    if label is not None and len(columns) > 1:
        named[label] = columns[1]
    return tuple(named.get(column, f"column{column + 1}") for column in range(len(held)))


def _picked(
    rows: list[Numbered], header: Sequence[str], wanted: list[int], name: str, findings: Findings, do: str, head: str
) -> Iterator[Cells]:
    width = len(header)
    for number, row in rows:
        if len(row) == width:
            yield number, tuple(row[position] for position in wanted)
        else:
            what = f"the row has {len(row):,} cells, {head} {width:,}"
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
