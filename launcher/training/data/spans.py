"""Texts with entities marked by their offsets, as annotation tools write them, become tokens with BIO tags.

    {"text": …, "label": {"company": {"浙商银行": [[0, 3]]}}}                         CLUENER; the last character
    {"text": …, "label": [[0, 4, "company"]]}                                       doccano, spaCy; the end behind it
    {"text": …, "entities": [{"start_offset": 0, "end_offset": 4, "label": …}]}     doccano, CMeEE, Prodigy, `predict`
    {"data": {"text": …}, "annotations": [{"result": [{"value": {"start": …}}]}]}   Label Studio (see `objects`)

The entity's own text, where given, decides which end is meant; elsewhere the end is behind the last character. A
token in which an entity begins or ends is cut there. Of entities that overlap, the longest is kept: a token has but
one tag.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from unicodedata import category

from launcher.recipe.declared import Tokens
from launcher.training.data import scripts, word_splitting
from launcher.training.data.findings import Findings

STARTS = ("start", "start_offset", "start_idx", "begin", "begin_offset", "start_pos")
ENDS = ("end", "end_offset", "end_idx", "stop", "finish", "end_pos")
KINDS = ("label", "labels", "type", "entity_type", "entity_group", "tag", "category", "entity")
TEXTS = ("text", "word", "mention", "surface", "entity")
MOST_CUT = 0.1
"""Of all entities, those that may begin or end inside a token: `predict` does not know where to cut it."""
LOOKED_AT = 2000
MIXED = 0.3
"""Above this part of characters that no white space parts, a text is one of these."""

JOINER = "\u200d"
JOINED = frozenset((JOINER, *map(chr, range(0x1F3FB, 0x1F400))))
"""What belongs to the character before: the joiner of emoji, colours of skin."""
FLAGS = frozenset(map(chr, range(0x1F1E6, 0x1F200)))
"""Letters of which two are a flag."""


@dataclass(frozen=True)
class Span:
    """One marked entity: its characters from `start` up to `end`."""

    start: int
    end: int
    kind: str


@dataclass
class Marked:
    """What the texts of a split held, to be reported when all are read."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    """The first case of each, with its location."""

    def count(self, name: str, what: str) -> None:
        """One more of these."""
        self.counts[name] += 1
        self.first.setdefault(name, what)


def inside_character(text: str, place: int) -> bool:
    """Whether this place is between two halves of what is seen as one character: a letter and its accent, an emoji."""
    if not 0 < place < len(text):
        return False
    before, behind = text[place - 1], text[place]
    if category(behind) in ("Mn", "Me", "Mc") or behind in JOINED or before == JOINER or before + behind == "\r\n":
        return True
    flags = 0
    while place > flags and text[place - flags - 1] in FLAGS:
        flags += 1
    return behind in FLAGS and flags % 2 == 1


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The place without the white space at its ends; `end` is not above `start` where there is nothing else."""
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())


def are_spans(value: Any) -> bool:
    """Whether this marks the entities of a text; an empty list means that there are none."""
    if isinstance(value, dict):
        return all(isinstance(below, dict | list) for below in value.values())
    return isinstance(value, list) and all(isinstance(one, list | dict) for one in value)


def spans_in(text: str, value: Any) -> list[Span]:
    """The entities that `value` marks in `text`. Raises ValueError that says what is wrong with one of them."""
    spans = []
    for start, end, kind, mention in _marks(value):
        if not isinstance(start, int) or not isinstance(end, int) or not isinstance(kind, str) or not kind.strip():
            raise ValueError("an entity needs the places where it starts and ends, and a type")
        if mention is not None and text[start:end] != mention:
            if text[start : end + 1] != mention:
                raise ValueError(
                    f"{mention[:40]!r} does not stand at {start} to {end} of the text, but {text[start:end][:40]!r}"
                )
            end += 1
        if not 0 <= start < end <= len(text):
            raise ValueError(f"an entity from {start} to {end} lies outside of the text of {len(text):,} characters")
        start, end = trimmed(text, start, end)
        if start >= end:
            raise ValueError(f"an entity from {start} to {end} marks white space")
        spans.append(Span(start, end, kind.strip()))
    return spans


def usual_tokens(texts: Iterable[str]) -> Tokens:
    """How texts are cut where the task does not say: into characters where no white space parts their words."""
    return "characters" if scripts.look(itertools.islice(texts, LOOKED_AT)).unspaced > MIXED else "words"


def tagged(text: str, spans: Sequence[Span], tokens: Tokens, marked: Marked, where: str) -> tuple[list[str], list[str]]:
    """The tokens of the text and their tags."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start - one.end, one.start)):
        if any(span.start < other.end and other.start < span.end for other in kept):
            if span not in kept:
                marked.count("overlap", f"{text[span.start : span.end][:40]!r} in {where}")
        else:
            kept.append(span)
    kept.sort(key=lambda one: one.start)
    edges = {edge for span in kept for edge in (span.start, span.end)}
    words, starts = [], []
    inside: set[int] = set()
    for word, start in word_splitting.pieces(text, tokens):
        within = sorted(edge for edge in edges if start < edge < start + len(word)) if edges else []
        inside.update(within)
        for begin, end in zip([start, *within], [*within, start + len(word)], strict=True):
            words.append(text[begin:end])
            starts.append(begin)
    marked.counts["entities"] += len(kept)
    for span in kept:
        if inside & {span.start, span.end}:
            marked.count("cut", f"{text[span.start : span.end][:40]!r} in {where}")
    return words, [_tag(start, kept) for start in starts]


def conclude(marked: Marked, tokens: Tokens, notes: list[str], findings: Findings) -> None:
    """Note what the whole split shows: overlaps as a remark, and whether entities are parts of tokens."""
    whole, cut, overlap = (marked.counts[name] for name in ("entities", "cut", "overlap"))
    if cut > MOST_CUT * whole:
        what = f"{cut:,} of {whole:,} entities begin or end inside a token, as tokens={tokens!r} cuts them"
        do = 'write TokenClassification(tokens="characters")'
        findings.add("spans", what, f"first {marked.first['cut']}", do)
    elif cut:
        what = f"{cut:,} entities begin or end inside a token, which was cut there and which predict leaves whole"
        notes.append(f"{what} (first {marked.first['cut']})")
    if overlap:
        notes.append(f"{overlap:,} entities overlap a longer one and were left out (first {marked.first['overlap']})")


def _tag(start: int, spans: Sequence[Span]) -> str:
    for span in spans:
        if span.start <= start < span.end:
            return f"{'B' if start == span.start else 'I'}-{span.kind}"
    return "O"


def _marks(value: Any) -> Iterator[tuple[Any, Any, Any, str | None]]:
    """Start, end, type and, where it is given, the text of each entity, as they are written."""
    if isinstance(value, dict):
        for kind, below in value.items():
            texts = below.items() if isinstance(below, dict) else [(None, below)]
            for mention, pairs in texts:
                for pair in pairs if isinstance(pairs, list) else [pairs]:
                    if not isinstance(pair, list) or len(pair) != 2:
                        raise ValueError(f"the places of {str(kind)[:40]!r} are not written as [[start, end], …]")
                    yield pair[0], pair[1], kind, mention
        return
    for one in value:
        if isinstance(one, list):
            offsets = [part for part in one if isinstance(part, int)]
            names = [part for part in one if isinstance(part, str)]
            start, end = (*offsets, None, None)[:2]
            yield start, end, names[0] if names else None, None
            continue
        mark = {**one, **_below(one, "value"), **_below(one, "entity_index"), **_below(one, "position")}
        if one.get("type") == "relation" or ("choices" in mark and "start" not in mark):
            continue  # Label Studio: a relation of two entities, or a choice for the whole text
        kinds = _first(mark, KINDS)
        kind = kinds[0] if isinstance(kinds, list) and len(kinds) == 1 else kinds
        mention = next((mark[name] for name in TEXTS if isinstance(mark.get(name), str) and mark[name] != kind), None)
        yield _first(mark, STARTS), _first(mark, ENDS), kind, mention


def _first(mark: dict[str, Any], names: Sequence[str]) -> Any:
    return next((mark[name] for name in names if name in mark), None)


def _below(one: dict[str, Any], name: str) -> dict[str, Any]:
    below = one.get(name)
    return below if isinstance(below, dict) else {}
