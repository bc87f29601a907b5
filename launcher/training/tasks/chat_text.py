"""A conversation in its template, cut into pieces: which text is a reply, and which is to be read as mere text.

Where the replies stand is not asked of the template. Each message's text is put between two characters that occur
nowhere else, and is found by them in what the template writes. Where a template looks at a message closely enough that
these change what it writes, or calls of tools are in it, each reply is looked for alone: by one mark behind it, or in
place of its calls; and where that changes something too, turn by turn: a reply is in what its turn adds.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from launcher.training.data.messages import ASSISTANT, SYSTEM, USER, Fault, Message, Talk

PRIVATE = range(0xF0000, 0xFFFFE)
"""Characters without a meaning of their own, of which four are chosen that a conversation does not hold."""
STAND_IN = "."
"""Stands for the reply that is to come."""
NOT_A_REPLY = -1
_DO = "write a template that does, as a .jinja file: task.chat_template"


class Piece(NamedTuple):
    """A part of a rendered conversation."""

    text: str
    reply: int = NOT_A_REPLY
    """Number of the reply that it belongs to, with the token that ends it."""
    plain: bool = False
    """Whether it is a control token's name, written in a message: it is text, and not that token."""


class Marks(NamedTuple):
    """Four characters: around a message's text, and around a control token's name in it."""

    open: str
    close: str
    name: str
    name_end: str

    @classmethod
    def absent_from(cls, text: str) -> Marks:
        """Four that it does not hold."""
        free = (chr(number) for number in PRIVATE if chr(number) not in text)
        return cls(next(free), next(free), next(free), next(free))


@dataclass(frozen=True)
class ChatText:
    """The template of a tokenizer, and what it makes of conversations."""

    tokenizer: Any
    system: str | None = None
    """System turn of a conversation that has none."""

    @cached_property
    def names(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        """Names of control tokens in what the assistant says, and in all else: `<think>` in a reply is that token."""
        added = [token for token in self.tokenizer.added_tokens_decoder.values() if token.content.strip()]
        return _any_of(token.content for token in added if token.special), _any_of(token.content for token in added)

    @cached_property
    def takes_calls(self) -> bool:
        """Whether the template has a form for calls of tools; else they are written as JSON."""
        return "tool_calls" in self.template

    @cached_property
    def takes_tools(self) -> bool:
        """Whether the template says which tools there are."""
        return bool(re.search(r"\btools\b", self.template))

    @cached_property
    def writes_the_date(self) -> bool:
        """Whether the template asks what day it is."""
        return "strftime_now" in self.template

    @property
    def template(self) -> str:
        """As the tokenizer was saved with it."""
        return str(self.tokenizer.chat_template)

    def pieces(self, talk: Talk) -> list[Piece]:
        """The conversation in its template. Raises Fault where the template fails, or leaves a message out."""
        talk = self._with_system(talk)
        marks = Marks.absent_from(talk.text + "".join(talk.tools))
        named = self._named(talk, marks)
        tools = [_marked(json.loads(tool), self.names[1], marks) for tool in talk.tools] or None
        written = self._render(named, tools)
        calls = any("tool_calls" in message for message in named)
        spans = None if calls else self._spans_by_marks(named, tools, marks, written)
        if spans is None:
            spans = list(self._spans_one_by_one(named, tools, marks, written))
        return list(_cut(written, [self._with_end(written, *span) for span in spans], marks))

    def prompt(self, talk: Talk) -> list[Piece]:
        """What stands before the reply that is to come."""
        pieces = self.pieces(replace(talk, messages=(*talk.messages, Message(ASSISTANT, STAND_IN))))
        last = max(piece.reply for piece in pieces)
        return pieces[: next(index for index, piece in enumerate(pieces) if piece.reply == last)]

    def _with_system(self, talk: Talk) -> Talk:
        if self.system is None or talk.messages[0].role == SYSTEM:
            return talk
        return replace(talk, messages=(Message(SYSTEM, self.system), *talk.messages))

    def _named(self, talk: Talk, marks: Marks) -> list[dict[str, Any]]:
        """The messages as templates take them, the names of control tokens in them marked."""
        of_reply, of_others = self.names
        messages = []
        for message in talk.messages:
            pattern = of_reply if message.role == ASSISTANT else of_others
            in_form = message.calls and self.takes_calls
            said = {"content": message.content if in_form else message.said}
            calls = [{"type": "function", "function": json.loads(call)} for call in message.calls] if in_form else []
            given = _marked({**said, **({"tool_calls": calls} if calls else {})}, pattern, marks)
            messages.append({"role": message.role, **given})
        return messages

    def _render(self, messages: Sequence[dict[str, Any]], tools: Any, reply_next: bool = False) -> str:
        """What the template writes. Raises Fault with its own error."""
        try:
            written = self.tokenizer.apply_chat_template(
                [dict(message) for message in messages], tools=tools, tokenize=False, add_generation_prompt=reply_next
            )
        except Exception as error:  # the border: a template may raise anything
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise Fault("template", f"the chat template fails on it: {said[:200]}", _DO) from None
        return str(written)

    def _spans_by_marks(
        self, messages: Sequence[dict[str, Any]], tools: Any, marks: Marks, written: str
    ) -> list[tuple[int, int]] | None:
        """Where the replies stand in `written`, found by marks; None where these change what the template writes."""
        marked = [{**message, "content": _between(message["content"], marks)} for message in messages]
        try:
            seen = self._render(marked, tools)
        except Fault:
            return None
        if seen.replace(marks.open, "").replace(marks.close, "") != written:
            return None
        found, depth, start = list[tuple[int, int]](), 0, 0
        for position, character in _places(seen, marks.open + marks.close):
            depth += 1 if character == marks.open else -1
            if depth not in (0, 1):
                return None
            if depth:
                start = position
            else:
                found.append((start, position))
        shown = [message for message in messages if message["content"].strip()]
        texts = [written[first:last] for first, last in found]
        if depth or texts != [message["content"].strip() for message in shown]:
            _refuse_missing(texts, messages)
            return None
        return [span for span, message in zip(found, shown, strict=True) if message["role"] == ASSISTANT]

    def _spans_one_by_one(
        self, messages: Sequence[dict[str, Any]], tools: Any, marks: Marks, written: str
    ) -> Iterator[tuple[int, int]]:
        """Where the replies stand in `written`, each looked for alone."""
        for index, message in enumerate(messages):
            if message["role"] == ASSISTANT:
                by_mark = self._span_by_mark(messages, index, tools, marks.close, written)
                yield by_mark or self._span_by_turn(messages, index, tools, written)

    def _span_by_mark(
        self, messages: Sequence[dict[str, Any]], index: int, tools: Any, mark: str, written: str
    ) -> tuple[int, int] | None:
        """Where that reply stands, by a mark behind it, or in place of it where it calls tools; None where the mark
        changes more than that.
        """
        message, calls = messages[index], "tool_calls" in messages[index]
        said = message["content"].strip()
        content = mark if calls else message["content"].replace(said, said + mark, 1)
        changed = {"role": message["role"], "content": content}
        try:
            seen = self._render([*messages[:index], changed, *messages[index + 1 :]], tools)
        except Fault:
            return None
        before, *behind = seen.split(mark)
        if len(behind) != 1:
            return None
        start, stop = len(before) - (0 if calls else len(said)), len(written) - len(behind[0])
        around = written.startswith(before) and written.endswith(behind[0]) and start < stop
        there = self._end_at(written, stop) is not None if calls else written[start:stop] == said
        return (start, stop) if around and there else None

    def _span_by_turn(
        self, messages: Sequence[dict[str, Any]], index: int, tools: Any, written: str
    ) -> tuple[int, int]:
        """Where that reply stands: in what its turn adds to the conversation before it."""
        before = self._render(messages[:index], tools, reply_next=True)
        after = self._render(messages[: index + 1], tools)
        named, said = f"message {index + 1}, a reply", messages[index]["content"].strip()
        if not after.startswith(before) or not written.startswith(after.rstrip()):
            what = f"where {named}, stands cannot be told: the template writes earlier turns otherwise once later "
            raise Fault("template", what + "ones follow", _DO)
        if "tool_calls" in messages[index]:
            end = re.search(rf"\s*(?:{self.names[1].pattern})?\s*\Z", after[len(before) :])
            return len(before), len(before) + (end.start() if end else len(after))
        start = written.find(said, len(before), len(after))
        if start < 0:
            raise Fault("template", f"the chat template does not write {named}, as it stands in the data", _DO)
        if written.find(said, start + 1, len(after)) >= 0:
            what = f"where {named}, stands cannot be told: the template writes what it says more than once"
            raise Fault("template", what, _DO)
        return start, start + len(said)

    def _end_at(self, written: str, stop: int) -> int | None:
        """Where the control token ends that follows there, if one does."""
        end = re.compile(rf"\s*(?:{self.names[1].pattern})").match(written, stop)
        return end.end() if end else None

    def _with_end(self, written: str, start: int, stop: int) -> tuple[int, int]:
        """A reply with the control token that follows it, and without the spaces before it that belong to its first
        word.
        """
        return len(written[:start].rstrip(" ")), self._end_at(written, stop) or stop


def without_oldest(talk: Talk) -> list[Talk]:
    """The conversation without its first exchange, without its first two, …; the last one and the system turn stay."""
    head = talk.messages[:1] if talk.messages[0].role == SYSTEM else ()
    turns = talk.messages[len(head) :]
    later = [index for index, message in enumerate(turns) if message.role == USER and index]
    return [replace(talk, messages=(*head, *turns[index:])) for index in later]


def _cut(written: str, spans: Sequence[tuple[int, int]], marks: Marks) -> Iterator[Piece]:
    place = 0
    for number, (start, stop) in enumerate(spans):
        yield from _parted(written[place:start], NOT_A_REPLY, marks)
        yield from _parted(written[start:stop], number, marks)
        place = stop
    yield from _parted(written[place:], NOT_A_REPLY, marks)


def _parted(text: str, reply: int, marks: Marks) -> Iterator[Piece]:
    """The text with the names of control tokens as pieces of their own."""
    for index, part in enumerate(re.split(f"{marks.name}(.*?){marks.name_end}", text, flags=re.DOTALL)):
        if part:
            yield Piece(part.replace(marks.name, "").replace(marks.name_end, ""), reply, plain=index % 2 == 1)


def _refuse_missing(found: Sequence[str], messages: Sequence[dict[str, Any]]) -> None:
    """Raise Fault for the first message that the template does not write at all."""
    rest = Counter(found)
    for number, message in enumerate(messages, 1):
        said = message["content"].strip()
        if said and not rest[said]:
            what = f"the chat template leaves out message {number}, the {message['role']}'s"
            raise Fault("template", what, _DO)
        rest[said] -= 1


def _between(content: str, marks: Marks) -> str:
    """A message's text between marks, the white space around it outside, so that a template may trim it."""
    core = content.strip()
    return content.replace(core, f"{marks.open}{core}{marks.close}", 1) if core else content


def _places(text: str, characters: str) -> Iterator[tuple[int, str]]:
    """Where these characters would stand if they were not there."""
    for before, match in enumerate(re.finditer(f"[{characters}]", text)):
        yield match.start() - before, match[0]


def _marked(value: Any, pattern: re.Pattern[str], marks: Marks) -> Any:
    """Strings anywhere in the value, keys too, with the names of control tokens marked."""
    if isinstance(value, str):
        return pattern.sub(lambda match: f"{marks.name}{match[0]}{marks.name_end}", value)
    if isinstance(value, dict):
        return {_marked(key, pattern, marks): _marked(part, pattern, marks) for key, part in value.items()}
    return [_marked(part, pattern, marks) for part in value] if isinstance(value, list) else value


def _any_of(names: Any) -> re.Pattern[str]:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
