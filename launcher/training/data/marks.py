"""Marks of the two entities of a relation, written into their text: `<e1>…</e1> and <e2>…</e2>`, also `[E1]…[/E1]`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from launcher.training.data.examples import Row
from launcher.training.data.spans import Span, inside_character, trimmed

MARK = re.compile(r"<(/?)e([12])>|\[(/?)e([12])\]", re.IGNORECASE)
NATURAL = (("<e1>", "</e1>"), ("<e2>", "</e2>"))
"""How they are written where people read them."""
WRITE = "mark each entity once, as in <e1>Paris</e1> is in <e2>France</e2>"
FIRST, SECOND = "e1", "e2"
SETTING = "entity_marks"
"""What tokenizer_config.json calls the marks that a model reads."""
Pair = tuple[Span, Span]


def entities_of(row: Row) -> tuple[Span, ...]:
    """The two entities of a row; nothing of one that has none."""
    return tuple(span for span in row.spans if span.kind in (FIRST, SECOND))


def parsed(text: str) -> tuple[str, Pair]:
    """The text without its marks, and the entities that stood between them.

    Raises ValueError that says what is wrong with the marks.
    """
    places: dict[str, int] = {}
    parts, length, before = [], 0, 0
    for mark in MARK.finditer(text):
        parts.append(text[before : mark.start()])
        length += mark.start() - before
        before = mark.end()
        closes, number = (mark[1] or mark[3] or ""), (mark[2] or mark[4])
        name = f"<{closes}e{number}>"
        if name in places:
            raise ValueError(f"{name} stands more than once in the text")
        places[name] = length
    plain = "".join([*parts, text[before:]])
    lacking = [name for pair in NATURAL for name in pair if name not in places]
    if lacking:
        *others, last = lacking
        shown = f"{', '.join(others)} and {last} are" if others else f"{last} is"
        raise ValueError(f"{shown} missing in the text")
    spans = [
        _stripped(plain, places[opens], places[closes], (opens, closes), kind)
        for (opens, closes), kind in zip(NATURAL, (FIRST, SECOND), strict=True)
    ]
    return plain, paired(*spans)


def paired(first: Span, second: Span) -> Pair:
    """Both, as they are. Raises ValueError where they cross, or are the same place."""
    if (first.start, first.end) == (second.start, second.end):
        raise ValueError("both entities are the same place in the text")
    one, other = sorted((first, second), key=lambda span: (span.start, -span.end))
    if other.start < one.end < other.end:
        raise ValueError("the two entities cross: each begins or ends within the other")
    return first, second


def inserted(text: str, spans: Sequence[Span], marks: Sequence[tuple[str, str]]) -> tuple[str, list[tuple[int, int]]]:
    """The text with marks around each span, and where each span's two marks begin in it. Spans do not cross."""
    # behind one place close the inner span first; before one, open the outer
    events = [(span.end, 0, span.end - span.start, number) for number, span in enumerate(spans)]
    events += [(span.start, 1, span.start - span.end, number) for number, span in enumerate(spans)]
    places = [[0, 0] for _ in spans]
    parts, length, before = [], 0, 0
    for place, opens, _, number in sorted(events):
        mark = marks[number][0 if opens else 1]
        places[number][0 if opens else 1] = length + place - before
        parts += [text[before:place], mark]
        length += place - before + len(mark)
        before = place
    return "".join([*parts, text[before:]]), [(opens, closes) for opens, closes in places]


def marks_of(tokenizer: Any) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """What stands before and behind the first and the second entity for a model; None where its texts have no marks.

    A mark is kept apart from what is around it by spaces.
    """
    marks = tokenizer.init_kwargs.get(SETTING)
    if not isinstance(marks, list) or len(marks) != 2:
        return None
    first, second = (f" {mark} " for mark in marks)
    return (first, first), (second, second)


def natural(text: str, spans: Sequence[Span]) -> str:
    """The text with `<e1>` and the others in it."""
    return inserted(text, spans, NATURAL)[0]


def _stripped(text: str, start: int, end: int, names: tuple[str, str], kind: str) -> Span:
    """The span without the white space at its ends."""
    if end < start:
        raise ValueError(f"{names[1]} stands before {names[0]}")
    start, end = trimmed(text, start, end)
    if start >= end:
        raise ValueError(f"there is nothing between {names[0]} and {names[1]}")
    for name, place in zip(names, (start, end), strict=True):
        if inside_character(text, place):
            raise ValueError(f"{name} stands between two halves of one character")
    return Span(start, end, kind)
