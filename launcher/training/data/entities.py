"""The two entities of a relation: from a table's cells to places in the text.

    <e1>Paris</e1> is in <e2>France</e2>                    marks in the text itself, where no columns are named
    [[0, 5], [12, 18]]   [{"start": 0, "end": 5}, …]        one column of both
    {"name": "Paris", "pos": [0, 5]}   [0, 5]   Paris       two columns, one for each
    0, 5, 12, 18   0, Paris, 12, France                     four: where each begins and ends, or begins and how it reads

Ends are behind the last character. In a file where an entity begins and ends at one place they are the last one's own,
unless some end is behind the last character of a text. Where the text is a list of tokens, places count
these. An entity that does not stand where its place says is found again by how it reads, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from launcher.errors import DataError, Problem
from launcher.training.data import marks, scripts
from launcher.training.data.cells import add_text, fault_in, written_list
from launcher.training.data.delimited import Cells
from launcher.training.data.examples import Reading
from launcher.training.data.findings import Findings
from launcher.training.data.numbers import whole_number
from launcher.training.data.spans import ENDS, STARTS, TEXTS, Marked, Span, inside_character, trimmed

BETWEEN = ("pos", "position", "span", "offset", "offsets")
"""Names of a list of where an entity begins and ends."""
READS = ("name", *TEXTS)
COUNTED = "places count characters from 0, as Python does; elsewhere an emoji may count as two"
WRITE = 'write an entity as [start, end], as {"start": …, "end": …}, or as it reads in the text, letter by letter'
MOVED = "did not stand where their places say, and were found again by how they read"
INSIDE = "entities end with the last character or token, and not behind it, as one begins and ends at one place"
SEVERAL = "came without a place and stand in their text more than once; the first was taken"
SHOWN = 40
Offsets = list[tuple[int, int]]


class Unnamed(ValueError):
    """The cells do not say which part of the text an entity is."""


@dataclass(frozen=True)
class Said:
    """What the cells say of one entity: where it begins and ends, how it reads."""

    start: int | None = None
    end: int | None = None
    reads: str | None = None


class Seen(Marked):
    """What is remarkable in a file's rows."""

    def notes(self) -> Iterator[str]:
        """A sentence for each kind."""
        for what, count in self.counts.items():
            yield f"{count:,} of the entities {what} (first in {self.first[what]})"


def add_related(reading: Reading, rows: Sequence[Cells], columns: Sequence[str], name: str, findings: Findings) -> None:
    """Add a row for each of these cells (text, label, the entities' `columns`); notes what is wrong with some."""
    texts = [(number, text, cells) for number, (text, _, *cells) in rows]
    labels = {number: label for number, (_, label, *_) in rows}
    for number, text, spans in located(texts, columns, name, reading.notes, findings):
        add_text(reading, text, labels[number], f"{name} row {number:,}", findings, spans=spans)


def located(
    rows: Sequence[tuple[int, Any, Sequence[Any]]],
    columns: Sequence[str],
    name: str,
    notes: list[str],
    findings: Findings,
) -> Iterator[tuple[int, Any, tuple[Span, ...]]]:
    """Number, text without marks and entities of rows (number, text, cells); without entities where the text is none.

    Notes in `findings` what is wrong with a row, and in `notes` what had to be put right.
    """
    seen, layout = Seen(), _Layout.of(rows, columns, name)
    if layout.ends_inside:
        notes.append(f"{name}: {INSIDE}")
    for number, text, cells in rows:
        where = f"{name} row {number:,}"
        text, offsets = as_text(text)
        if not isinstance(text, str) or not text.strip() or fault_in(text):
            yield number, text, ()
            continue
        try:
            pair = layout.pair(text, offsets, cells, seen, where) if columns else None
            text, pair = (text, pair) if pair is not None else marks.parsed(text)
        except ValueError as error:
            of_places = WRITE if isinstance(error, Unnamed) else COUNTED
            do = of_places if columns else f"{marks.WRITE}; or name the columns that say where they are: data.entities"
            findings.add("entities", str(error), where, do)
            continue
        yield number, text, pair
    notes.extend(seen.notes())


def as_text(value: Any) -> tuple[Any, Offsets]:
    """A text as it is; of a list of tokens the text that they make, and where each of them begins and ends in it."""
    tokens = written_list(value)
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        return value, []
    text, offsets = "", Offsets()
    for token in tokens:
        text += f" {token}" if text and token and not scripts.joins(text[-1], token[0]) else token
        offsets.append((len(text) - len(token), len(text)))
    return text, offsets


@dataclass(frozen=True)
class _Layout:
    """How a file's columns name entities."""

    reads_first: tuple[bool, bool] = (False, False)
    """Of four columns, whether the first of each two is how the entity reads."""
    reads_second: tuple[bool, bool] = (False, False)
    ends_inside: bool = False
    """Whether an end is that of the last character (or token), and not behind it."""

    @classmethod
    def of(cls, rows: Sequence[tuple[int, Any, Sequence[Any]]], columns: Sequence[str], name: str) -> _Layout:
        """As all rows together show it. Raises DataError where two columns hold no place between them."""
        layout = cls()
        if len(columns) == 4 and rows:
            counts = [sum(whole_number(cells[place]) is not None for _, _, cells in rows) for place in range(4)]
            numbers = [2 * count > len(rows) for count in counts]  # a row may be wrong
            for one, other in ((0, 1), (2, 3)):
                if not numbers[one] and not numbers[other]:
                    some = next(i for i, (_, _, c) in enumerate(rows) if whole_number(c[one]) is None)
                    what = f"of {columns[one]!r} and {columns[other]!r} one must hold whole numbers"
                    raise DataError(Problem(what, f"{name} row {rows[some][0]:,}", COUNTED))
            layout = cls((not numbers[0], not numbers[2]), (not numbers[1], not numbers[3]))
        places = [place for _, text, cells in rows for place in layout.places(text, cells)] if columns else []
        inside = any(start == end for start, end, _ in places) and all(end != size for _, end, size in places)
        return replace(layout, ends_inside=inside)

    def places(self, text: Any, cells: Sequence[Any]) -> Iterator[tuple[int, int, int]]:
        """Where entities begin and end that their places alone tell, and how much text there is."""
        text, offsets = as_text(text)
        try:
            pair = self.said(cells) if isinstance(text, str) else ()
        except ValueError:
            return
        for one in pair:
            if one.start is not None and one.end is not None and (offsets or one.reads is None):
                yield one.start, one.end, len(offsets or text)

    def said(self, cells: Sequence[Any]) -> tuple[Said, Said]:
        """What the cells say of both. Raises ValueError."""
        if len(cells) == 4:
            return self._of_two(cells[0], cells[1], 0), self._of_two(cells[2], cells[3], 1)
        if len(cells) == 1:
            value = written_list(cells[0])
            cells = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        if len(cells) != 2:
            raise Unnamed("the row does not name two entities")
        return _said(cells[0]), _said(cells[1])

    def _of_two(self, one: Any, other: Any, which: int) -> Said:
        if self.reads_first[which]:
            return Said(whole_number(other), None, _reads(one))
        if self.reads_second[which]:
            return Said(whole_number(one), None, _reads(other))
        return Said(whole_number(one), whole_number(other))

    def pair(self, text: str, offsets: Offsets, cells: Sequence[Any], seen: Seen, where: str) -> marks.Pair:
        """Both entities. Raises ValueError that says what is wrong with one of them."""
        one, other = self.said(cells)
        first = self._span(text, offsets, one, None, seen, where)
        return marks.paired(first, self._span(text, offsets, other, first, seen, where))

    def _span(self, text: str, offsets: Offsets, said: Said, other: Span | None, seen: Seen, where: str) -> Span:
        start, end = said.start, said.end
        if said.reads is not None and not (offsets and end is not None):  # tokens may be parted otherwise
            start = offsets[start][0] if offsets and start is not None and 0 <= start < len(offsets) else start
            start, end = _found(text, said.reads, start, other, seen, where)
        elif offsets and start is not None:
            last = start if end is None else end + self.ends_inside - 1
            _refuse_outside("token ", start, last + 1, len(offsets), "tokens")
            start, end = offsets[start][0], None if end is None else offsets[last][1]
        elif end is not None:
            end += self.ends_inside
        if start is None or end is None:
            raise Unnamed("an entity needs the places where it begins and ends, or how it reads")
        _refuse_outside("", start, end, len(text), "characters")
        start, end = trimmed(text, start, end)
        if start >= end:
            raise ValueError(f"an entity from {start} to {end} marks white space")
        for place in (start, end):
            if inside_character(text, place):
                raise ValueError(f"an entity begins or ends at {place}, between two halves of one character")
        return Span(start, end, marks.FIRST if other is None else marks.SECOND)


def _refuse_outside(of: str, start: int, end: int, size: int, units: str) -> None:
    if end <= start:
        raise ValueError(f"an entity from {of}{start} to {end} ends where it begins, or before")
    if start < 0 or end > size:
        raise ValueError(f"an entity from {of}{start} to {end} lies outside of the text of {size:,} {units}")


def _found(text: str, reads: str, start: int | None, other: Span | None, seen: Seen, where: str) -> tuple[int, int]:
    """Where the entity stands that reads so: at `start`, or nearest to it. Raises ValueError where there is none."""
    if start is not None and start >= 0 and text.startswith(reads, start):
        return start, start + len(reads)
    there = [place for place in range(len(text) - len(reads) + 1) if text.startswith(reads, place)]
    if not there:
        raise Unnamed(f"the entity {reads[:SHOWN]!r} does not stand in the text")
    taken = (other.start, other.end) if other else None
    free = [place for place in there if (place, place + len(reads)) != taken] or there
    if start is not None:
        seen.count(MOVED, where)
    elif len(free) > 1:
        seen.count(SEVERAL, where)
    best = free[0] if start is None else min(free, key=lambda place: abs(place - start))
    return best, best + len(reads)


def _said(value: Any) -> Said:
    value = written_list(value)
    if isinstance(value, dict):
        within = next((value[name] for name in BETWEEN if isinstance(value.get(name), list | dict)), None)
        below = value | (within if isinstance(within, dict) else {})
        start, end = (next((whole_number(below[n]) for n in names if n in below), None) for names in (STARTS, ENDS))
        if isinstance(within, list):
            start, end = (*map(whole_number, within), None, None)[:2]
        reads = next((value[name].strip() for name in READS if isinstance(value.get(name), str)), "") or None
        return Said(start, end, reads)
    if isinstance(value, list):
        places = [number for number in map(whole_number, value) if number is not None]
        reads = next((part for part in value if isinstance(part, str) and whole_number(part) is None), None)
        start, end = (*places, None, None)[:2]
        return Said(start, end, reads)
    return Said(reads=_reads(value))


def _reads(value: Any) -> str:
    """How an entity reads. Raises ValueError where that is no text."""
    text = as_text(value)[0]
    if isinstance(text, int) and not isinstance(text, bool):
        return str(text)
    if not isinstance(text, str) or not text.strip():
        raise Unnamed("the row lacks an entity")
    return text.strip()
