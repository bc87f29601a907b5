"""A text with two marked entities as a model reads it: which tokens, and which of them stand for the entities.

Where the tokenizer has marks for entities (`entity_marks`), these are put into the text and stand for them; else the
entities' own tokens do. A text that is too long is cut around both entities; where these lie too far apart, what is
between them is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from launcher.training.data import Row, marks
from launcher.training.tasks.texts import token_ids


class Seen(NamedTuple):
    """One text."""

    text: str
    """As the tokenizer was given it."""
    encoding: Any
    """All its tokens."""
    kept: np.ndarray
    """The numbers of those that the model sees."""
    tokens: list[int]
    """Their ids."""
    places: tuple[int, ...]
    """Among the tokens: where the first entity starts and ends, and where the second does."""
    cut: int
    """How many entities are not seen whole."""
    lacking: int
    """How many entities have no token."""

    @property
    def truncated(self) -> bool:
        """Whether some of the text is not seen."""
        return len(self.kept) < len(self.encoding.ids)


def seen_of(rows: Sequence[Row], tokenizer: Any, max_length: int) -> Iterator[Seen]:
    """Each of these rows; `max_length` is the longest input in tokens."""
    read = [_read(row, tokenizer) for row in rows]
    texts = [text for text, _ in read]
    encodings = tokenizer(texts, truncation=False, verbose=False).encodings if texts else []
    for encoding, (text, characters) in zip(encodings, read, strict=True):
        (tokens,) = token_ids(tokenizer, [encoding])
        places, lacking = _tokens_at(encoding, characters)
        kept, cut = _kept(encoding, len(tokens), places, max_length, tokenizer.unk_token_id)
        found = tuple(_among(kept, place, is_end=number % 2 == 1) for number, place in enumerate(places))
        yield Seen(text, encoding, kept, [tokens[index] for index in kept], found, cut, lacking)


def _read(row: Row, tokenizer: Any) -> tuple[str, list[tuple[int, int]]]:
    """The text with its marks, and for each entity the first and the last character that stands for it there."""
    around = marks.marks_of(tokenizer)
    if around is None:
        return str(row.text), [(span.start, span.end - 1) for span in row.spans]
    text, places = marks.inserted(str(row.text), row.spans, around)
    return text, [(opens + 1, closes + 1) for opens, closes in places]  # a mark has a space in front


def _tokens_at(encoding: Any, characters: Sequence[tuple[int, int]]) -> tuple[list[int], int]:
    """The first and the last token of each entity, and how many have none: then it is the token before."""
    starts, ends = np.array(encoding.offsets or [(0, 0)], dtype=np.int64).T
    places, lacking = list[int](), 0
    for first, last in characters:
        there = np.flatnonzero((starts <= last) & (ends > first))
        lacking += not len(there)
        before = max(0, int(((ends <= first) & (ends > 0)).sum()) - 1)
        places += [int(there[0]), int(there[-1])] if len(there) else [before, before]
    return places, lacking


def _kept(
    encoding: Any, length: int, places: Sequence[int], max_length: int, unknown: int | None
) -> tuple[np.ndarray, int]:
    """Which tokens stay, and how many entities lose some of theirs."""
    every = np.arange(length)
    if length <= max_length:
        return every, 0
    added = zip(encoding.special_tokens_mask, encoding.ids, strict=True)
    special = [bool(mask) and number != unknown for mask, number in added]
    before = special.index(False) if False in special else 0
    behind = special[::-1].index(False) if False in special else 0
    room = max(1, max_length - before - behind)
    start, stop = min(places[0], places[2]), max(places[1], places[3]) + 1
    if stop - start <= room:
        left = min(start - before, (room - stop + start) // 2)
        last = min(length - behind, start - left + room)
        between = every[max(before, last - room) : last]
    else:  # too far apart: what is between them goes
        between = np.concatenate([every[start : start + room // 2], every[stop - (room - room // 2) : stop]])
    kept = np.concatenate([every[:before], between, every[length - behind :]])
    whole = [bool(np.isin(every[places[at] : places[at + 1] + 1], kept).all()) for at in (0, 2)]
    return kept, whole.count(False)


def _among(kept: np.ndarray, token: int, is_end: bool) -> int:
    """Where a token is among those that were kept; where it is not, the nearest one that its entity may have."""
    place = np.searchsorted(kept, token, side="right") - 1 if is_end else np.searchsorted(kept, token)
    return int(np.clip(place, 0, len(kept) - 1))
