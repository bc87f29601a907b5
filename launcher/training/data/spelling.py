"""One label that is spelt in several ways: as different numbers, with other letters, or with another one in a cell.

1, 1.0              the same number, as pandas writes whole numbers where a column once had gaps: one class
Sport, sport        two classes, for they may be meant so; a warning names both
sport, a;sport      labels of one text with another separator than the recipe says: refused
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from launcher.recipe.data import Data, Table
from launcher.training.data.examples import Reading, Row
from launcher.training.data.findings import Findings

WHOLE = re.compile(r"(-?(?:0|[1-9]\d{0,17}))(?:\.0*)?")
NUMBER = re.compile(r"[+-]?\d{1,18}(?:\.\d{0,18})?")
MARKS = ("；", ";", "，", ",", "、", "|", "/", "&", "+", "\t", " ")
"""What may part the labels of a cell."""
ENOUGH = {" ": 0.9}
"""Part of the labels that hold the mark whose pieces must be labels elsewhere too; a half by default."""
MOST_SHOWN = 5


def same_numbers(readings: Mapping[str, Reading], labels: Iterable[str]) -> list[str]:
    """Give whole numbers that are spelt in several ways one spelling, if possible that of `labels`; what was done."""
    counts = Counter(label for reading in readings.values() for row in reading.rows for label in row.labels)
    names = _names({*counts, *labels}, labels)
    for reading in readings.values():
        reading.rows = renamed(reading.rows, names)
    return [
        f"the labels {old!r} ({counts[old]:,}) and {new!r} ({counts[new]:,}) are one number, and read as {new!r}"
        for old, new in names.items()
        if counts[old]
    ]


def under_known_labels(rows: list[Row], labels: Iterable[str]) -> list[Row]:
    """The rows with whole numbers spelt as a model's labels are."""
    return renamed(rows, _names({*labels, *(label for row in rows for label in row.labels)}, labels))


def renamed(rows: list[Row], names: Mapping[str, str]) -> list[Row]:
    """The rows under other names for some labels."""
    if not names:
        return rows
    return [_renamed(row, names) if names.keys() & set(row.labels) else row for row in rows]


def alike(counts: Mapping[str, int], what: str) -> list[str]:
    """A warning for all names that differ only in what is hard to see; `counts` by name, of rows or entities."""
    folded: dict[str, list[str]] = {}
    for name in counts:
        folded.setdefault(_folded(name), []).append(name)
    warnings = []
    for names in folded.values():
        if len(names) > 1:
            seen = len({unicodedata.normalize("NFC", name) for name in names}) == len(names)
            shown = [f"{(repr if seen else ascii)(name)} ({counts[name]:,} {what})" for name in sorted(names)]
            listed = f"{', '.join(shown[:-1])} and {shown[-1]}"
            warnings.append(f"{listed} differ only in case, blanks, width or zeros, and are labels of their own")
    return warnings[:MOST_SHOWN] + (
        [f"and {len(warnings) - MOST_SHOWN:,} more that are alike"] if len(warnings) > MOST_SHOWN else []
    )


def refuse_other_separator(data: Data, rows: list[Row], findings: Findings) -> None:
    """Note it where labels that the recipe does not name seem to be several, with another separator than
    `data.label_separator`.
    """
    counts = Counter(label for row in rows for label in row.labels)
    for mark in MARKS:
        several = {label: _pieces(label, mark) for label in counts if mark in label.strip(mark)}
        seen = Counter(piece for label in counts for piece in set(several.get(label, [label])))
        known = [label for label, pieces in several.items() if all(piece and seen[piece] > 1 for piece in pieces)]
        if not known or len(known) < ENOUGH.get(mark, 0.5) * len(several):
            continue
        first = next(row.where for row in rows if known[0] in row.labels)
        what = f"{len(several):,} labels seem to be several, parted by {mark!r}, as {known[0][:60]!r}"
        do = f"write Table(label_separator={mark!r})" if isinstance(data, Table) else "write each label by itself"
        findings.add("separator", what, f"first in {first}", f"{do}; if each is one label, name them in task.labels")
        return


def _pieces(label: str, mark: str) -> list[str]:
    return [piece.strip() for piece in label.split(mark)]


def _names(seen: set[str], wanted: Iterable[str]) -> dict[str, str]:
    """A new name for each label that is another's number, spelt otherwise."""
    spellings: dict[str, list[str]] = {}
    for label in sorted(seen):
        match = WHOLE.fullmatch(label)
        if match:
            spellings.setdefault(match[1], []).append(label)
    fixed = set(wanted)
    names: dict[str, str] = {}
    for number, labels in spellings.items():
        mine = [label for label in labels if label in fixed]
        if len(labels) > 1 and len(mine) < 2:
            chosen = mine[0] if mine else number
            names |= {label: chosen for label in sorted(labels) if label != chosen}
    return names


def _renamed(row: Row, names: Mapping[str, str]) -> Row:
    if isinstance(row.label, str):
        return replace(row, label=names.get(row.label, row.label))
    return replace(row, label=tuple(sorted({names.get(label, label) for label in row.label})))


def _folded(name: str) -> str:
    plain = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    return str(float(plain)) if NUMBER.fullmatch(plain) else plain
