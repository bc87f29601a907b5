"""Pieces of rendered conversations as tokens, and the proof that what is learnt of them are the replies."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from launcher.training.data.messages import ASSISTANT, Message, Talk
from launcher.training.tasks.chat_text import NOT_A_REPLY, Piece

BORDER = "\n"
"""Stands before a piece from within a text, where a tokenizer would put a space before its first word."""


class Tokens(NamedTuple):
    """One conversation: its tokens, and the number of the reply that each belongs to, or NOT_A_REPLY."""

    ids: list[int]
    replies: list[int]

    def first_of(self, reply: int) -> int:
        """Where that reply begins; behind the end where it is not there."""
        return self.replies.index(reply) if reply in self.replies else len(self.ids)

    def cut(self, longest: int) -> Tokens:
        """Without its end."""
        return Tokens(self.ids[:longest], self.replies[:longest])

    def last(self, longest: int) -> Tokens:
        """Without its beginning."""
        return Tokens(self.ids[-longest:], self.replies[-longest:])


@dataclass(frozen=True)
class ChatTokens:
    """A tokenizer that takes pieces."""

    tokenizer: Any

    @cached_property
    def border(self) -> list[int] | None:
        """The tokens of BORDER, where a piece from within a text needs it; None where it does not."""
        alone, behind, border = self._of(["a", BORDER + "a", BORDER])
        return border if behind[len(border) :] != alone else None

    def of(self, conversations: Sequence[Sequence[Piece]]) -> list[Tokens]:
        """The tokens of each conversation."""
        within = [bool(number) for pieces in conversations for number in range(len(pieces))]
        pieces = [piece for pieces in conversations for piece in pieces]
        ids: list[list[int]] = [[] for _ in pieces]
        for plain in (False, True):
            numbers = [number for number, piece in enumerate(pieces) if piece.plain is plain]
            made = self._within([pieces[n].text for n in numbers], [within[n] for n in numbers], plain)
            for number, tokens in zip(numbers, made, strict=True):
                ids[number] = tokens
        each = iter(zip(ids, pieces, strict=True))
        rows = []
        for conversation in conversations:
            row = Tokens([], [])
            for _ in conversation:
                tokens, piece = next(each)
                row.ids.extend(tokens)
                row.replies.extend([piece.reply] * len(tokens))
            rows.append(row)
        return rows

    def _within(self, texts: Sequence[str], within: Sequence[bool], plain: bool) -> list[list[int]]:
        if self.border is None:
            made = self._of(texts, plain)
        else:
            with_border = self._of([BORDER * inner + text for text, inner in zip(texts, within, strict=True)], plain)
            length = len(self.border)
            made = [
                (ids[length:] if ids[:length] == self.border else self._of([text], plain)[0]) if inner else ids
                for ids, text, inner in zip(with_border, texts, within, strict=True)
            ]
        if not plain:
            return made
        known = self.tokenizer.get_added_vocab()
        return [
            [*itertools.chain(*self._of([text[:1], text[1:]]))] if known.get(text) in ids else ids
            for text, ids in zip(texts, made, strict=True)
        ]

    def _of(self, texts: Sequence[str], plain: bool = False) -> list[list[int]]:
        if not texts:
            return []
        made: list[list[int]] = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=plain,
            verbose=False,
            return_attention_mask=False,
        )["input_ids"]
        return made

    def text(self, ids: Sequence[int]) -> str:
        """What tokens decode to, control tokens by their names."""
        written: str = self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return written

    def without_end(self, ids: Sequence[int]) -> Sequence[int]:
        """A reply without the control token that ends it."""
        return ids[:-1] if len(ids) and int(ids[-1]) in self.control else ids

    @cached_property
    def control(self) -> frozenset[int]:
        """Numbers of the tokens that no text makes."""
        return frozenset(self.tokenizer.added_tokens_decoder)

    def fault_in(self, tokens: Tokens, learnt: np.ndarray, talk: Talk, wanted: Sequence[int], cut: bool) -> str:
        """Why the tokens that are `learnt`, bool [tokens], are not these of its replies; '' where they are.

        Of a conversation whose end was `cut` off the last one may be short.
        """
        ids, replies = np.asarray(tokens.ids), replies_in(talk)
        borders = np.flatnonzero(np.diff(learnt.astype(np.int8))) + 1
        runs = [run for run in np.split(np.arange(len(ids)), borders) if len(run) and learnt[run[0]]]
        if len(runs) != len(wanted) or (not cut and max(tokens.replies) + 1 != len(replies)):
            return f"of its {len(replies):,} replies {len(runs):,} would be learnt"
        wanted_replies = [replies[number] for number in wanted]
        for number, (run, reply) in enumerate(zip(runs, wanted_replies, strict=True), 1):
            short = cut and run[-1] == len(ids) - 1
            written = self.text(self.without_end(ids[run].tolist())).strip()
            if not self._is(written, reply, short):
                return f"reply {number} would be learnt as {_short(written)}, and is {_short(reply.said.strip())}"
        return ""

    def _is(self, written: str, reply: Message, short: bool) -> bool:
        wanted = reply.said.strip()
        if short:
            return wanted.startswith(written.rstrip("\ufffd").rstrip()) or self._kept_of(wanted).startswith(written)
        if written == wanted:
            return True
        if reply.calls:  # each template has a form of its own for what a call says
            return _letters(reply.content) in _letters(written) and all(_said_in(call, written) for call in reply.calls)
        return written == self._kept_of(wanted)

    def _kept_of(self, text: str) -> str:
        """What a tokenizer keeps of a text that it does not keep all of."""
        names = "|".join(sorted(map(re.escape, self.tokenizer.all_special_tokens), key=len, reverse=True)) or "(?!)"
        parts = enumerate(re.split(f"({names})", text))
        (alone,) = self.of([[Piece(part, plain=number % 2 == 1) for number, part in parts if part]])
        return self.text(alone.ids).strip()


def replies_in(talk: Talk) -> list[Message]:
    """The assistant's turns."""
    return [message for message in talk.messages if message.role == ASSISTANT]


def weights_of(replies: Sequence[int], turn_weights: Sequence[float] | None) -> np.ndarray:
    """How much each token counts by the reply that it belongs to, float32 [tokens]; 0 where it belongs to none."""
    numbers = np.asarray(replies, dtype=np.int64)
    if turn_weights is None or not len(numbers):
        return np.where(numbers == NOT_A_REPLY, 0.0, 1.0).astype(np.float32)
    from_last = np.clip(numbers.max() - numbers, 0, len(turn_weights) - 1)
    weights: np.ndarray = np.where(numbers == NOT_A_REPLY, 0.0, np.asarray(turn_weights)[from_last]).astype(np.float32)
    return weights


def _said_in(call: str, written: str) -> bool:
    """Whether all words of the call are there, in whatever form."""
    there = _letters(written)
    return all(word in there for word in re.findall(r"\w+", call) if word not in ("name", "arguments"))


def _letters(text: str) -> str:
    return "".join(re.findall(r"\w+", text))


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:40]}…{text[-16:]}")
