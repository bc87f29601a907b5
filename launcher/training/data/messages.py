"""Conversations as rows: messages under the roles that chat templates know, and what is wrong with their order.

Roles are `system`, `user`, `assistant` and `tool`; what other formats call them is translated. A call of a tool is said
by the assistant: `{"name": …, "arguments": {…}}`, kept as one line of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from launcher.errors import did_you_mean

SYSTEM, USER, ASSISTANT, TOOL = "system", "user", "assistant", "tool"
CALL = "call"
"""What a message of ShareGPT is that holds nothing but a call; it becomes one of the assistant's."""
ROLES: Mapping[str, str] = {
    **dict.fromkeys(("system", "developer", "系统"), SYSTEM),
    **dict.fromkeys(("user", "human", "prompter", "question", "用户", "问"), USER),
    **dict.fromkeys(("assistant", "gpt", "bot", "chatgpt", "model", "bing", "bard", "助手", "答"), ASSISTANT),
    **dict.fromkeys(("tool", "function", "observation", "function_response", "tool_response"), TOOL),
    **dict.fromkeys(("function_call", "tool_call"), CALL),
}
BEFORE: Mapping[str, frozenset[str]] = {
    SYSTEM: frozenset({""}),
    USER: frozenset({"", SYSTEM, ASSISTANT}),
    ASSISTANT: frozenset({USER, TOOL}),
    TOOL: frozenset({ASSISTANT, TOOL}),
}
"""What may stand before a message of each role; '' is the beginning."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn."""

    role: str
    content: str
    calls: tuple[str, ...] = ()
    """Calls of tools that the assistant makes, each a JSON object with `name` and `arguments`."""

    @property
    def said(self) -> str:
        """All that is written in it."""
        return "\n".join(part for part in (self.content, *self.calls) if part)


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation, and the tools that it may call, each as a line of JSON."""

    messages: tuple[Message, ...]
    tools: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """For people to read, and to tell one conversation from another."""
        return "\n".join(f"{message.role}: {message.said}" for message in self.messages)

    @property
    def replies(self) -> int:
        """How many turns the assistant has."""
        return sum(message.role == ASSISTANT for message in self.messages)


class Fault(ValueError):
    """What is wrong with one conversation; `kind` says which are alike."""

    def __init__(self, kind: str, what: str, do: str = ""):
        super().__init__(what)
        self.kind, self.do = kind, do


def message_of(value: Any, number: int) -> Message:
    """The message that an object of OpenAI's or ShareGPT's format holds. Raises Fault."""
    named = f"message {number}"
    if not isinstance(value, dict):
        raise Fault("message", f"{named} is not an object", 'write {"role": "user", "content": "…"}')
    role = value.get("role", value.get("from"))
    if not isinstance(role, str) or not role.strip():
        raise Fault("role", f"{named} does not say whose it is", 'give it a "role": system, user, assistant or tool')
    known = ROLES.get(role.strip().lower())
    if known is None:
        near = did_you_mean(role.strip().lower(), list(ROLES))
        do = near if near.startswith("did") else "the roles are system, user, assistant and tool"
        raise Fault("role", f"{named} has the role {role[:40]!r}, which is not known", do)
    content = _content(value.get("content", value.get("value")), f"{named} ({role[:40]})")
    calls = [*_calls(value.get("tool_calls"), named), *_calls(value.get("function_call"), named)]
    if known == CALL:
        return Message(ASSISTANT, "", tuple(_calls(content, named)))
    if not content.strip() and not calls:
        raise Fault("empty message", f"{named} ({known}) is empty", "write it, or take the conversation out")
    return Message(known, content, tuple(calls))


def unread_in(value: Mapping[str, Any]) -> Iterator[str]:
    """Names of what a message has besides, that would be lost without a word."""
    for name in ("reasoning_content", "thinking", "reasoning", "images", "audio"):
        if value.get(name):
            yield name
    for name in ("weight", "train"):
        if value.get(name) not in (None, 1):  # of 1 nothing is lost
            yield name


def joined(messages: Sequence[Message]) -> tuple[Message, ...]:
    """What the assistant says and then calls in one turn, as one message."""
    turns: list[Message] = []
    for message in messages:
        before = turns[-1] if turns else None
        if before and before.role == message.role == ASSISTANT and message.calls and not message.content:
            turns[-1] = replace(before, calls=before.calls + message.calls)
        else:
            turns.append(message)
    return tuple(turns)


def refuse_disorder(messages: Sequence[Message]) -> None:
    """Raise Fault where turns do not follow each other as in a conversation, or there is no reply to learn."""
    before: Message | None = None
    for number, message in enumerate(messages, 1):
        last = before.role if before else ""
        after_no_call = message.role == TOOL and before is not None and last == ASSISTANT and not before.calls
        if last not in BEFORE[message.role] or after_no_call:
            raise Fault("order", f"roles are out of order: {_out_of_order(message.role, number, last)}")
        before = message
    if before is None or not any(message.role == ASSISTANT for message in messages):
        raise Fault("no reply", "there is no reply in it", "a conversation needs a message of the assistant")
    if before.role != ASSISTANT:
        whose = "the user" if before.role == USER else "what a tool gave"
        do = "take the last message out, or the conversation; task.broken='skip' leaves such ones out"
        raise Fault("no last reply", f"it ends with {whose}, and has no reply to that", do)


def _out_of_order(role: str, number: int, last: str) -> str:
    if role == SYSTEM:
        return f"message {number} is a system turn, which can only come first"
    if role == TOOL:
        return f"message {number} is what a tool gave, and message {number - 1} calls none"
    if not last or last == SYSTEM:
        return f"message {number} is the {role}'s, and the user has said nothing yet"
    return (
        f"message {number} is the {role}'s, and so is message {number - 1}"
        if role == last
        else (f"message {number} is the {role}'s, and the assistant has not answered message {number - 1} yet")
    )


def _content(value: Any, named: str) -> str:
    """A message's text: a string, or parts of which all are texts."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else []
    if not parts or not all(isinstance(part, dict) for part in parts):
        raise Fault("message", f"what {named} says is {_kind(value)}, not a string")
    other = next((str(part.get("type")) for part in parts if not isinstance(part.get("text"), str)), "")
    if other:
        raise Fault("parts", f"{named} holds a part of the type {other[:40]!r}, and only text is read")
    return "".join(part["text"] for part in parts)


def _calls(value: Any, named: str) -> Iterator[str]:
    """Each call in it, as one line of JSON."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Fault("call", f"the call in {named} is not valid JSON", _CALL) from None
    for call in value if isinstance(value, list) else [value] if value else []:
        said = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(said, dict) or not isinstance(said.get("name"), str):
            raise Fault("call", f"the call in {named} does not say what it calls", _CALL)
        arguments = said.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except (ValueError, RecursionError):
                raise Fault("call", f"the arguments of the call in {named} are not valid JSON", _CALL) from None
        yield json.dumps({"name": said["name"], "arguments": arguments}, ensure_ascii=False)


_CALL = 'write {"name": "…", "arguments": {…}}'


def _kind(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "a number or a switch"
