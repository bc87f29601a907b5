"""Questions and their contexts as windows: rows that each hold the whole question and a part of the context.

The question comes first: a model that reads forwards only has read it when it comes to the context. Of a window's
tokens those of the context stand for characters of it; all others stand for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from launcher.errors import DataError, Problem
from launcher.training.data.spans import Span

Place = tuple[int, int]
"""The first and the last token of an answer; (0, 0) stands for none."""
NOWHERE: Place = (0, 0)


class Room(NamedTuple):
    """How windows are cut, in tokens."""

    longest: int
    """A window with all that the tokenizer adds."""
    question: int
    """A question has at most these; what is beyond is cut."""
    stride: int
    """What neighbouring windows share of the context."""

    @classmethod
    def of(cls, tokenizer: Any, longest: int, stride: int | None) -> Room:
        """A question may take half of what the tokenizer leaves of the longest input; None shares a quarter of it.

        Raises DataError where the windows would share so much that they do not get on.
        """
        left = longest - tokenizer.num_special_tokens_to_add(pair=True)
        question = left // 2
        context = left - question
        if context < 2:
            what = f"the longest input has {longest} tokens, which hold no question with a context"
            raise DataError(Problem(what, "embedding.max_length", "make it longer"))
        if stride is not None and stride >= context:
            what = f"windows cannot share {stride} tokens of the context: they hold {context} of it where the question"
            what += f" is long, and the longest input has {longest}"
            raise DataError(Problem(what, "task.stride", f"write a stride below {context}, or leave it out"))
        return cls(longest, question, min(longest // 4, context - 1) if stride is None else stride)


def shortened(tokenizer: Any, questions: Sequence[str], most: int) -> list[str]:
    """The questions, each with no more than that many tokens."""
    given = list(questions)
    while given:
        encodings = tokenizer(given, add_special_tokens=False, verbose=False).encodings
        longer = [number for number, encoding in enumerate(encodings) if len(encoding.ids) > most]
        if not longer:
            break
        for number in longer:  # what is left of a word may be more tokens than before
            end = encodings[number].offsets[most - 1][1]
            given[number] = given[number][: min(end, len(given[number]) - 1)]
    return given


def cut(
    tokenizer: Any, questions: Sequence[str], contexts: Sequence[str], room: Room
) -> tuple[Sequence[Any], np.ndarray]:
    """The encoding of each window, and the number of its example, int64 [windows]; questions fit already."""
    given = tokenizer(
        list(questions),
        list(contexts),
        truncation="only_second",
        max_length=room.longest,
        stride=room.stride,
        return_overflowing_tokens=True,
        verbose=False,
    )
    return given.encodings, np.asarray(given["overflow_to_sample_mapping"], dtype=np.int64)


class Characters(NamedTuple):
    """Of each token of a window the characters of the context that it stands for, int32 [tokens].

    They begin at `begins` and end before `ends`, without the white space around; both are 0 for what stands for none.
    """

    begins: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, encoding: Any, blank: np.ndarray) -> Characters:
        """`blank` says of each character of the context whether it is white space, bool [characters]."""
        offsets = np.array(encoding.offsets or [(0, 0)], dtype=np.int32)
        begins, ends = offsets[:, 0].copy(), offsets[:, 1].copy()
        elsewhere = np.array([side != 1 for side in encoding.sequence_ids] or [True])
        begins[elsewhere], ends[elsewhere] = 0, 0
        padded = np.append(blank, False)
        while (first := (begins < ends) & padded[begins]).any():
            begins[first] += 1
        while (last := (begins < ends) & padded[ends - 1]).any():
            ends[last] -= 1
        empty = begins >= ends
        begins[empty], ends[empty] = 0, 0
        return cls(begins, ends)

    def place_of(self, spans: Sequence[Span]) -> Place:
        """The tokens of the first answer that stands in this window as a whole."""
        tokens = np.flatnonzero(self.ends)
        if not len(tokens):
            return NOWHERE
        begins, ends = self.begins[tokens], self.ends[tokens]
        for span in spans:
            if begins[0] <= span.start and span.end <= ends[-1]:
                first = np.searchsorted(ends, span.start, side="right")
                last = np.searchsorted(begins, span.end, side="left") - 1
                if first <= last:
                    return int(tokens[first]), int(tokens[last])
        return NOWHERE


class Placed(NamedTuple):
    """The windows of some examples, and what they hold of the answers."""

    characters: list[Characters]
    places: np.ndarray
    """The first and the last token of the answer that is learnt, int64 [windows, 2]."""
    whole: np.ndarray
    """Whether a window has an answer to the example as a whole, bool [examples]."""
    inside: np.ndarray
    """Whether that answer begins or ends inside a token, bool [examples]."""

    @classmethod
    def of(
        cls, encodings: Sequence[Any], example: np.ndarray, contexts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Placed:
        """`example` is the number of each window's example, whose context and answers these are."""
        characters, places, before, blank = [], [], -1, np.zeros(0, dtype=bool)
        whole, inside = np.zeros((2, len(contexts)), dtype=bool)
        for number, encoding in zip(example.tolist(), encodings, strict=True):
            if number != before:
                before, blank = number, _blanks_of(contexts[number])
            window = Characters.of(encoding, blank)
            first, last = place = window.place_of(spans[number])
            characters.append(window)
            places.append(place)
            if place != NOWHERE:
                whole[number] = True
                ends = (window.begins[first], window.ends[last])
                inside[number] |= all(ends != (span.start, span.end) for span in spans[number])
        return cls(characters, np.array(places, dtype=np.int64).reshape(-1, 2), whole, inside)


def _blanks_of(text: str) -> np.ndarray:
    """Whether each character is white space, bool [characters]."""
    return np.array([character.isspace() for character in text], dtype=bool)


def code_points(text: str) -> np.ndarray:
    """A text as an array, int32 [characters]: a part of it is a part of the array."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<i4")


def text_of(points: np.ndarray) -> str:
    """What `code_points` gave, or a part of it, as a text."""
    return points.astype("<i4").tobytes().decode("utf-32-le")
