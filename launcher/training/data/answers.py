"""Answers that stand in a text, as SQuAD, CMRC and tables write them.

    {"text": ["solar", "solar power"], "answer_start": [149, 149]}       a data set of the hub
    [{"text": "solar", "answer_start": 149}, …]                          SQuAD's JSON
    ["光荣和ω-force", …]   solar                                          texts alone, which are looked for

No answer is an empty list, an empty text or null. `answer_start` counts characters from 0.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launcher.training.data.numbers import whole_number
from launcher.training.data.spans import Span

STARTS = ("answer_start", "start", "answer_starts")
WRITE = 'write {"text": ["one"], "answer_start": [149]}, a list of texts, or one text; an empty list has no answer'
LISTED = 5
"""Rows that a remark names."""
REMARKS = {
    "moved": "do not stand at their answer_start, and were found again at the nearest place that has them",
    "missing": "do not stand in their context, which are scored against and not trained on",
    "guessed": "have no answer_start and stand in their context more than once, of which the first place is taken",
}


class NotThere(ValueError):
    """None of the answers stands in the context."""


@dataclass(frozen=True)
class Answers:
    """All answers to one question."""

    texts: tuple[str, ...]
    """As they are written, each once."""
    spans: tuple[Span, ...]
    """Where they stand in the context; those that do not stand there are left out."""
    remarks: Mapping[str, int] = field(default_factory=dict)
    """How many of them were moved, are missing, or were guessed."""


def answers_in(context: str, cell: Any, start: Any = None) -> Answers:
    """What a cell says, with the cell of its `start` if the table has one. Raises ValueError with what is wrong."""
    texts: dict[str, None] = {}
    spans: dict[Span, None] = {}
    counts = dict.fromkeys(REMARKS, 0)
    for text, said in _given(cell, start):
        bare = text.strip()
        if not bare:
            continue
        texts[bare] = None
        said = None if said is None else said + len(text) - len(text.lstrip())
        place = _place(context, bare, said)
        if place is None:
            counts["missing"] += 1
            continue
        counts["moved"] += said not in (None, place)
        counts["guessed"] += said is None and context.find(bare, place + 1) >= 0
        spans[Span(place, place + len(bare), "answer")] = None
    if texts and not spans:
        shown = next(iter(texts))[:40]
        raise NotThere(f"the answer {shown!r} does not stand in its context")
    return Answers(tuple(texts), tuple(spans), {name: count for name, count in counts.items() if count})


def remarks_on(noticed: Mapping[str, Sequence[tuple[str, int]]]) -> Iterator[str]:
    """For each kind of remark how many answers it is about, and the first of their rows; see `REMARKS`."""
    for name, rows in noticed.items():
        count, (first, *others) = sum(number for _, number in rows), [where for where, _ in rows[:LISTED]]
        named = ", ".join([first, *(other.removeprefix(first[: first.rfind(" ") + 1]) for other in others)])
        more = f" and {len(rows) - LISTED:,} more" if len(rows) > LISTED else ""
        yield f"answers that {REMARKS[name]}: {count:,} ({named}{more})"


def _given(cell: Any, start: Any) -> Iterator[tuple[str, int | None]]:
    """Each answer's text and, where it is said, its start."""
    if cell is None:
        return
    if isinstance(cell, dict):
        if "text" not in cell:
            raise ValueError(f"answers need a text; there is {', '.join(map(repr, list(cell)[:5])) or 'nothing'}")
        start = next((cell[name] for name in STARTS if name in cell), start)
        cell = cell["text"]
    if not isinstance(cell, list):
        yield _text(cell), _start(start)
        return
    starts = start if isinstance(start, list) else [None] * len(cell)
    if len(starts) != len(cell):
        raise ValueError(f"answers: {len(cell):,}, and places where they start: {len(starts):,}")
    for one, of_one in zip(cell, starts, strict=True):
        if isinstance(one, dict):
            yield from _given(one, of_one)
        else:
            yield _text(one), _start(of_one)


def _text(value: Any) -> str:
    """An answer's text; a number, as a year may be written, is one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | type(None)):
        raise ValueError(f"an answer is {json.dumps(value, ensure_ascii=False, default=str)[:40]}, not a text")
    return "" if value is None else str(value)


def _start(value: Any) -> int | None:
    """A start; what hub sets write for none (-1) counts as none, and so does what pandas writes (NaN)."""
    if value is None or (isinstance(value, str) and not value.strip()) or value != value:
        return None
    start = whole_number(value)
    if start is None:
        raise ValueError(f"the start of an answer is {str(value)[:40]!r}, not the number of a character")
    return start if start >= 0 else None


def _place(context: str, text: str, start: int | None) -> int | None:
    """Where the text stands: at its start, else at the place nearest to it; None where it stands nowhere."""
    if start is not None and context.startswith(text, start):
        return start
    places = _places(context, text)
    if start is None:
        return next(places, None)
    return min(places, key=lambda place: abs(place - start), default=None)


def _places(context: str, text: str) -> Iterator[int]:
    found = context.find(text)
    while found >= 0:
        yield found
        found = context.find(text, found + 1)


def questions_in(values: Sequence[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Objects of a JSON file with their numbers; where they are nested sets of questions, the questions, numbered."""
    if not any(_is_nested(value) for _, value in values[:LISTED]):
        return list(values)
    return list(enumerate(itertools.chain.from_iterable(_questions(value) for _, value in values), 1))


BELOW = ("data", "paragraphs", "qas")
"""What a file of SQuAD has in each other: articles, paragraphs, questions."""
OTHER_NAMES = {"query_text": "question", "context_text": "context", "query_id": "id", "qid": "id"}
"""CMRC's own and others' names of what SQuAD has."""


def _is_nested(value: Any) -> bool:
    """Whether questions lie somewhere in it."""
    if not isinstance(value, dict):
        return False
    below = next((value[name] for name in BELOW if isinstance(value.get(name), list)), None)
    return below is not None and ("qas" in value or any(map(_is_nested, below[:LISTED])))


def _questions(value: Any, outer: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """The questions below it, each with what stands around it; what is no object is given as it is."""
    if not isinstance(value, dict):
        yield value
        return
    named = {OTHER_NAMES.get(str(name), str(name)): below for name, below in value.items() if name not in BELOW}
    parts = next((value[name] for name in BELOW if isinstance(value.get(name), list)), None)
    inside: dict[str, Any] = {**(outer or {}), **named}
    if parts is not None:
        inside.pop("version", None)
        for part in parts:
            yield from _questions(part, inside)
        return
    if inside.get("is_impossible") is True:
        inside["answers"] = []
    inside.pop("plausible_answers", None)
    yield inside
