"""Replies in conversations: what is learnt are their tokens, each from all that stands before it.

A row is a conversation in the tokenizer's chat template. Column `said` has how much each token counts, 0 for what is
no reply; `prompt` where the last reply begins. That the tokens which count decode to the replies of the data is proven
here, for every row (`chat_tokens`).
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from launcher.errors import DataError, Problem
from launcher.recipe.dialogue_task import Dialogue
from launcher.training.batches.split import TOKENS, Column, Ragged, Split
from launcher.training.data import Row
from launcher.training.data.findings import Findings
from launcher.training.data.messages import ASSISTANT, USER, Fault, Message, Talk
from launcher.training.tasks import asked_by_readers, chat_shown
from launcher.training.tasks.base import Arrays, Encoded, Reader, Text
from launcher.training.tasks.chat_text import NOT_A_REPLY, ChatText, Piece, without_oldest
from launcher.training.tasks.chat_tokens import ChatTokens, Tokens, weights_of
from launcher.training.tasks.words_said import SAID, WEIGHTS, WordsWork
from launcher.training.tasks.writing import Writes, left_padded

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors

PROMPT = "prompt"
NO_REPLY_LEFT, TOO_LONG, BROKEN = "left_out_without_a_reply_in_reach", "left_out_as_too_long", "left_out_as_broken"
TURNS, TOOLS = "without_their_first_turns", "whose_tools_the_template_leaves_out"


@dataclass
class Made:
    """What encoding gives, conversation by conversation."""

    rows: list[Tokens] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)


class Work(WordsWork, Writes):
    """See `launcher.training.tasks.base.TaskWork`."""

    metric_names = tuple(Dialogue.metrics)
    cut_off = "beginning"  # of a text to reply to: its end is what is replied to

    def __init__(self, task: Dialogue, reader: Reader):
        super().__init__(task, reader)
        self.dialogue = task
        self.text, self.tokens = ChatText(self.tokenizer, task.system), ChatTokens(self.tokenizer)
        self.scale: float | None = None
        """What the weights of replies are multiplied by in the training loss; None weighs all alike."""

    def for_training(self, train: Split) -> Self:
        """Replies count as `turn_weights` says, on average 1."""
        if self.dialogue.turn_weights is None:
            return self
        work = type(self)(self.dialogue, self.reader)
        work.scale = float(train.targets["loss"].sum() / train.ragged(SAID).values.sum())
        return work

    def warnings(self) -> list[str]:
        """A template without an end of a reply: the model would never learn to stop; one that asks what day it is."""
        end = "the chat template puts no token behind a reply that ends it, so the model learns no end"
        date = "the chat template writes the date: in training that of the day on which the data was prepared"
        return [*([] if self._end else [end]), *([date] if self.text.writes_the_date else [])]

    def example(self, text: Text) -> Row:
        """A conversation of one turn, the user's."""
        talk = Talk((Message(USER, str(text)),))
        return Row(talk.text, "", "", talk=talk)

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """`input_ids`, `said` (float32, a number a token) and `prompt`.

        Raises DataError with every row that the template fails on, or whose replies are not what would be learnt.
        """
        made, findings = Made(), Findings()
        talks = [row.talk for row in examples if row.talk is not None]
        rendered = [self._pieces(talk, row.where, made, findings) for talk, row in zip(talks, examples, strict=True)]
        fitting = (number for number, pieces in enumerate(rendered) if pieces is not None)
        whole = dict(zip(fitting, self.tokens.of([pieces for pieces in rendered if pieces is not None]), strict=True))
        for number, tokens in whole.items():
            self._add(tokens, talks[number], examples[number].where, made, findings)
        findings.raise_if_any()
        return self._encoded(made, len(examples))

    def as_seen(self, row: Row) -> dict[str, Any] | None:
        """The conversation with what is learnt of it; or why it is left out."""
        if row.talk is None:
            return None
        made = self.encode([row])
        try:
            (whole,) = self.tokens.of([self.text.pieces(row.talk)])
        except Fault as fault:
            return chat_shown.of_row(f"{row.where}, left out as broken: {fault}", [], 0, (0, ""))
        if not made.split.rows:
            (why,) = (name for name, count in made.lost.items() if count and name.startswith("left_out"))
            return chat_shown.of_row(f"{row.where}, {why.replace('_', ' ')}", [], 0, (len(whole.ids), row.characters))
        ids, said = made.split.ragged(TOKENS).row(0), made.split.ragged(SAID).row(0)
        gone = len(whole.ids) - len(ids)
        kept = next((at for at, (one, other) in enumerate(zip(whole.ids, ids, strict=False)) if one != other), len(ids))
        rest = (gone, self.tokens.text(whole.ids[kept : kept + gone]))
        return chat_shown.of_row(row.where, chat_shown.parts_of(self.tokenizer, ids, said > 0), len(ids), rest)

    def _counts(self) -> Iterator[str]:
        """Names of what is counted."""
        yield NO_REPLY_LEFT
        yield from (TOO_LONG,) if self.dialogue.too_long == "skip" else ()
        yield from (TURNS,) if self.dialogue.too_long == "turns" else ()
        yield from (BROKEN,) if self.dialogue.broken == "skip" else ()
        yield from () if self.text.takes_tools else (TOOLS,)

    def _pieces(self, talk: Talk, where: str, made: Made, findings: Findings) -> list[Piece] | None:
        """The conversation in its template; None where it fails."""
        try:
            asked = talk.messages[-1].role != ASSISTANT
            return self.text.prompt(talk) if asked else self.text.pieces(talk)
        except Fault as fault:
            self._refuse(fault, where, made, findings)
            return None

    def _refuse(self, fault: Fault, where: str, made: Made, findings: Findings) -> None:
        if self.dialogue.broken == "skip":
            made.lost[BROKEN] += 1
        else:
            findings.add(fault.kind, str(fault), where, fault.do)

    def _add(self, tokens: Tokens, talk: Talk, where: str, made: Made, findings: Findings) -> None:
        """Keep the conversation, as far as the longest input goes, or count why it is left out."""
        policy, asked = self.dialogue.too_long, talk.messages[-1].role != ASSISTANT
        longest = self.room if asked else self.reader.max_length
        too_long = len(tokens.ids) > longest
        if too_long and policy == "stop" and not asked:
            what = f"the conversation has {len(tokens.ids):,} tokens, and the longest input has {longest:,}"
            findings.add("too long", what, where, "raise embedding.max_length, or say what is cut: task.too_long")
            return
        if too_long and policy == "skip" and not asked:
            made.lost[TOO_LONG] += 1
            return
        if too_long and (policy == "turns" or asked):
            whole = talk
            talk, tokens = self._shorter(talk, tokens, longest)
            made.lost[TURNS] += policy == "turns" and talk is not whole
        cut = len(tokens.ids) > longest
        tokens = tokens.last(longest) if asked else tokens.cut(longest)
        weights = weights_of(tokens.replies, self.dialogue.turn_weights)
        if cut and not asked and not weights[1:].any():
            made.lost[NO_REPLY_LEFT] += 1
            return
        if not asked and (fault := self._unproven(tokens, weights > 0, talk, cut)):
            do = "the chat template changes it: write one that does not, as a .jinja file: task.chat_template"
            self._refuse(Fault("mask", fault, do), where, made, findings)
            return
        if (
            not asked and self.dialogue.learn == "replies" and not weights[1:].any()
        ):  # task.turn_weights has only 0 for it
            made.lost[NO_REPLY_LEFT] += 1
            return
        if self.dialogue.learn == "all" and not asked:
            weights[np.asarray(tokens.replies) == NOT_A_REPLY] = 1.0
        made.rows.append(tokens)
        made.weights.append(weights)
        made.prompts.append(tokens.first_of(max(tokens.replies, default=NOT_A_REPLY)) if not asked else len(tokens.ids))
        made.truncated.append(too_long)
        made.lost[TOOLS] += bool(talk.tools) and not self.text.takes_tools

    def _unproven(self, tokens: Tokens, learnt: np.ndarray, talk: Talk, cut: bool) -> str:
        there = range(max(tokens.replies) + 1)
        wanted = np.flatnonzero(weights_of(there, self.dialogue.turn_weights)).tolist()
        return self.tokens.fault_in(tokens, learnt, talk, wanted, cut)

    def _shorter(self, talk: Talk, tokens: Tokens, longest: int) -> tuple[Talk, Tokens]:
        """Without as many of the first exchanges as are too many, the last one excepted."""

        def tokens_of(shorter: Talk) -> Tokens:
            asked = shorter.messages[-1].role != ASSISTANT
            return self.tokens.of([self.text.prompt(shorter) if asked else self.text.pieces(shorter)])[0]

        choices = without_oldest(talk)
        if not choices:
            return talk, tokens
        fewest = bisect.bisect_left(choices, True, key=lambda shorter: len(tokens_of(shorter).ids) <= longest)
        shorter = choices[min(fewest, len(choices) - 1)]
        return shorter, tokens_of(shorter)

    def _encoded(self, made: Made, examples: int) -> Encoded:
        ids = Ragged.of([row.ids for row in made.rows], np.int32)
        values = np.concatenate(made.weights) if made.weights else np.zeros(0, np.float32)
        targets = np.array([int((weights[1:] > 0).sum()) for weights in made.weights], dtype=np.int64)
        columns: dict[str, Column] = {
            TOKENS: ids,
            SAID: Ragged(values, ids.offsets),
            PROMPT: np.array(made.prompts, dtype=np.int64),
        }
        split = Split(columns, {"loss": targets}, ids.lengths, np.arange(len(made.rows)))
        lost = {name: made.lost[name] for name in self._counts()}
        return Encoded(split, np.array(made.truncated, dtype=bool), lost, examples - len(made.rows))

    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """Cross entropy of the tokens of replies, summed; in training weighted by their turn."""
        weights = (wanted[WEIGHTS] > 0).float() if self.scale is None else wanted[WEIGHTS] * self.scale
        return super().loss(outputs, {**wanted, WEIGHTS: weights})

    def prompts(self, split: Split, rows: np.ndarray) -> Arrays:
        """The conversations up to their last reply, the beginning of those cut that leave no room for one."""
        tokens, ends = split.ragged(TOKENS), split.array(PROMPT)
        return left_padded([tokens.row(row)[: ends[row]][-self.room :] for row in rows], self.padding)

    def references(self, split: Split, rows: np.ndarray) -> list[str]:
        """The last replies, as the data has them."""
        tokens, starts = split.ragged(TOKENS), split.array(PROMPT)
        return [self.written(tokens.row(row)[starts[row] :]) for row in rows]

    def opening(self, messages: Sequence[Mapping[str, str]]) -> np.ndarray:
        """See `Writes`. Raises DataError where the template fails."""
        talk = Talk(tuple(Message(message["role"], message["content"]) for message in messages))
        try:
            (tokens,) = self.tokens.of([self.text.prompt(talk)])
        except Fault as fault:
            raise DataError(Problem(str(fault), do=fault.do)) from None
        return np.array(tokens.ids, dtype=np.int64)

    def for_readers(self) -> dict[str, Any]:
        """A text is what the user says, and stands in the template."""
        names = [[], []]  # type: list[list[str]]
        for token in self.tokenizer.added_tokens_decoder.values():
            if token.content.strip():
                names[1].append(token.content)
                names[0] += [token.content] if token.special else []
        border = self.tokens.border or []
        return {
            "chat": asked_by_readers.chat(self.tokenizer, self.text.system, names, border),
            "prompt": asked_by_readers.prompt(self.tokenizer, [], [], self.room, "beginning", []),
            "decoded": asked_by_readers.decoded(self.tokenizer),
        }

    @property
    def ends(self) -> list[int]:
        """The token that the template puts behind a reply, and the one that ends a text."""
        return list(dict.fromkeys([*self._end, *super().ends]))

    @property
    def padding(self) -> int:
        """What fills up prompts."""
        return int(self.tokenizer.pad_token_id or 0)

    @cached_property
    def _end(self) -> list[int]:
        """The token that ends a reply in this template; none where it has no such token."""
        try:
            pieces = self.text.pieces(Talk((Message(USER, "a"), Message(ASSISTANT, "b"))))
        except Fault:  # what it does not take of a row, that row tells
            return []
        (reply,) = self.tokens.of([[piece for piece in pieces if piece.reply >= 0]])
        return reply.ids[len(self.tokens.without_end(reply.ids)) :]
