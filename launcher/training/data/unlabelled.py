"""A file of texts to predict on: which column holds them, and all its other columns, which are kept.

The columns are those of the recipe's own data unless the user names others; a file with a column `text` needs neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launcher.errors import DataError, Problem, did_you_mean
from launcher.recipe.data import Data, Pairs, Table
from launcher.training.data import entities, marks
from launcher.training.data.arrow import parquet_cells, parquet_names
from launcher.training.data.cells import MISSING, fault_in
from launcher.training.data.compression import ending_of
from launcher.training.data.decoding import read_text, unless_utf8
from launcher.training.data.delimited import Cells, Layout, delimited_cells
from launcher.training.data.findings import Findings
from launcher.training.data.json_tables import json_cells, json_names
from launcher.training.data.raw_texts import read_pairs, read_texts
from launcher.training.data.reader import TABLES, layout_of

USUAL = ("text", "text_pair")
OPTIONS = ("--text", "--text-pair")
SNIFFED = 1 << 16
"""First bytes of unnamed input, from which its format is guessed."""


@dataclass(frozen=True)
class Wanted:
    """What to read from a file: whether the model takes pairs, the columns the user named, what joins tokens, and
    whether there are two entities in each text."""

    pairs: bool
    said: tuple[str | None, str | None] = (None, None)
    joined_by: str = " "
    of_entities: bool = False

    def columns(self, data: Data, names: Sequence[str]) -> tuple[str, ...]:
        """The column of the text, and of the second one of a pair."""
        of_recipe = (data.text, data.text_pair) if isinstance(data, Table) else USUAL
        of_recipe = (data.text, data.label) if isinstance(data, Pairs) else of_recipe
        columns = []
        for said, own, usual in zip(self.said, of_recipe, USUAL, strict=True):
            columns.append(said or (own if own in names or usual not in names else usual) or usual)
        return tuple(columns if self.pairs else columns[:1])

    def columns_of_entities(self, data: Data, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the recipe's data, if the file has them; else the entities are marked in the texts."""
        own = data.entities if self.of_entities and isinstance(data, Table) else None
        return own if own and set(own) <= set(names) else ()


@dataclass(frozen=True)
class UnlabelledTexts:
    """The texts, and for each its row as it is in the file."""

    texts: list[str | tuple[str, ...]]
    rows: list[dict[str, Any]]


def read_unlabelled(path: Path, data: Data, wanted: Wanted, name: str = "") -> UnlabelledTexts:
    """The rows of a file; `name` is for input without one. Raises DataError with the columns there are."""
    if path.is_dir():
        raise DataError(Problem("this is a folder, and texts come from a file", str(path)))
    if name and not path.stat().st_size:
        raise DataError(Problem("the input is empty", name))
    ending = ending_of(str(path)) if not name else _sniffed(path, wanted.columns(data, ()))
    ending, name = (".jsonl" if ending == ".ndjson" else ending), name or path.name
    layout = layout_of(data)
    encoding = layout.encoding and unless_utf8(path, layout.encoding)
    if ending not in TABLES and not _is_parted(path, name, layout):
        return _lines(path, wanted, encoding, name)
    cells, names = _cells(path, name, ending, replace(layout, encoding=encoding), wanted.columns(data, ()))
    columns = wanted.columns(data, names)
    missing = [
        _no_column(column, option, names, name)
        for column, option in zip(columns, OPTIONS, strict=False)
        if column not in names
    ]
    if missing:
        raise DataError(missing)
    findings, unlabelled = Findings(), UnlabelledTexts([], [])
    numbered = [(number, dict(zip(names, values, strict=True))) for number, values in cells]
    marked = _marked(numbered, columns[0], wanted.columns_of_entities(data, names), name, findings)
    for number, row in numbered:
        given = {**row, columns[0]: marked.get(number, row[columns[0]])}
        texts = [_text(given[column], wanted.joined_by, findings, f"{name} row {number:,}") for column in columns]
        unlabelled.texts.append(tuple(texts) if wanted.pairs else texts[0])
        unlabelled.rows.append({key: _plain(value) for key, value in row.items() if value is not MISSING})
    findings.raise_if_any()
    if not unlabelled.texts:
        raise DataError(Problem("there are no rows in it", name))
    return unlabelled


def _marked(
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    column: str,
    of_entities: tuple[str, ...],
    name: str,
    findings: Findings,
) -> dict[int, str]:
    """By the row's number, the text with the entities marked in it that other columns name."""
    if not of_entities:
        return {}
    given = [(number, row[column], [row[each] for each in of_entities]) for number, row in rows]
    found = entities.located(given, of_entities, name, [], findings)
    return {number: marks.natural(text, spans) for number, text, spans in found if spans}


def _lines(path: Path, wanted: Wanted, encoding: str | None, name: str) -> UnlabelledTexts:
    if any(wanted.said):
        do = "give a .csv, .tsv, .json, .jsonl or .parquet file, or leave --text out"
        raise DataError(Problem("a file of plain lines has no columns", name, do))
    texts: list[Any] = list(read_pairs(path, encoding) if wanted.pairs else read_texts(path, encoding=encoding))
    return UnlabelledTexts(texts, [dict(zip(USUAL, text if wanted.pairs else (text,), strict=False)) for text in texts])


def _cells(path: Path, name: str, ending: str, layout: Layout, wanted: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """All cells of all columns, and the columns' names."""
    findings = Findings()
    if ending == ".parquet":
        names = parquet_names(path, name)
        return parquet_cells(path, name, names), names
    text, _ = read_text(path, name, layout.encoding)
    if not text.strip():
        raise DataError(Problem("the file is empty", name))
    if ending in (".json", ".jsonl"):
        names = json_names(text, name, ending, findings)
        findings.raise_if_any()
        cells: Any = json_cells(text, name, ending, names, findings) if names else []
        return cells, names
    usual = "," if ending == ".csv" else "\t"
    mark = layout.separator if layout.separator and _is_parted(path, name, layout) else usual
    first = [cell.strip().strip('"') for cell in text.lstrip("\n").partition("\n")[0].split(mark)]
    own = layout.header if layout.header and not set(wanted) & set(first) and len(first) == len(layout.header) else None
    names = tuple(one for one in (own or first) if (own or first).count(one) == 1)
    rows: list[Cells] = list(
        delimited_cells(text, name, names, findings, Layout(mark, own, layout.encoding)) if names else []
    )
    findings.raise_if_any()
    return rows, names


def _is_parted(path: Path, name: str, layout: Layout) -> bool:
    """Whether the first line has cells as the recipe's own files have them, by the separator that it names."""
    if layout.separator is None:
        return False
    text, _ = read_text(path, name, layout.encoding)
    return layout.separator in text.lstrip("\n").partition("\n")[0]


def _no_column(column: str, option: str, names: Sequence[str], name: str) -> Problem:
    near = did_you_mean(column, names)
    do = f"{near} Say so: {option} NAME" if near.startswith("did") else f"say which holds the text: {option} NAME"
    there = ", ".join(repr(one[:60]) for one in names[:20]) or "none"
    return Problem(f"there is no column {column!r}; the columns are {there}", name, do)


def _text(value: Any, joined_by: str, findings: Findings, where: str) -> str:
    """A cell as a text; a list of tokens is joined."""
    if isinstance(value, list) and value and all(isinstance(token, str) for token in value):
        value = joined_by.join(value)
    if value is None or isinstance(value, str):
        fault = fault_in(value or "")
    else:
        fault = "the row has no text" if value is MISSING else "the text is not a string"
    if fault:
        findings.add("text", fault, where)
    return value if isinstance(value, str) else ""


def _plain(value: Any) -> Any:
    """A value in a form that JSON can hold: dates, bytes and the like of Parquet as text."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _sniffed(path: Path, columns: tuple[str, ...]) -> str:
    """The file ending that unnamed input should have; none for plain lines."""
    with path.open("rb") as file:
        head = file.read(SNIFFED)
    if head.startswith(b"PAR1"):
        return ".parquet"
    first = head.decode("utf-8", "replace").lstrip("\ufeff \n\r\t").partition("\n")[0].rstrip("\r")
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return ".jsonl"
    if isinstance(value, list) or first.strip() in ("[", "{") or first.startswith("[{"):
        return ".json"
    return next((kind for kind, mark in ((".tsv", "\t"), (".csv", ",")) if columns[0] in first.split(mark)[:99]), "")
