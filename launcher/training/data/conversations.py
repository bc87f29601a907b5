"""Files of conversations in any of four formats, which is found from the names of their columns.

messages     `messages`: [{"role": …, "content": …}, …], as OpenAI has them
ShareGPT     `conversations`: [{"from": …, "value": …}, …], with `system` and `tools`
Alpaca       `instruction`, `input`, `output`, with `system` and `history`
pairs        `prompt` and `response`, or what else the two are called
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launcher.errors import DataError, Problem
from launcher.recipe.data import Conversations
from launcher.training.data.cells import MISSING, fault_in
from launcher.training.data.delimited import Cells
from launcher.training.data.examples import Reading, Row
from launcher.training.data.findings import Findings
from launcher.training.data.messages import (
    ASSISTANT,
    SYSTEM,
    USER,
    Fault,
    Message,
    Talk,
    joined,
    message_of,
    refuse_disorder,
    unread_in,
)

LISTS = ("messages", "conversations", "conversation", "dialogue", "dialog", "对话")
PROMPTS = ("instruction", "prompt", "question", "query", "user", "指令", "问题", "提问", "input", "输入")
INPUTS = ("input", "context", "输入")
REPLIES = ("output", "response", "completion", "answer", "reply", "assistant", "输出", "回答", "答案", "回复")
SYSTEMS, TOOLS, HISTORY = ("system", "system_prompt", "系统"), ("tools", "functions"), ("history",)
LEFT_OUT: Mapping[str, str] = {
    "no reply": "without a reply",
    "no last reply": "that end without a reply",
    "empty message": "with an empty message",
    "order": "with roles out of order",
    "template": "that the template does not take",
}
"""Kinds of faults, in the report of what was left out."""


@dataclass
class Format:
    """Which columns of a file hold what; settled by `choose` once their names are known."""

    data: Conversations
    columns: dict[str, str] = field(default_factory=dict)

    def choose(self, names: Sequence[str]) -> tuple[str, ...]:
        """The columns that are read. Raises DataError where they are those of no format."""
        data = self.data
        wanted = {
            "list": (data.messages, LISTS),
            "prompt": (data.prompt, PROMPTS),
            "reply": (data.reply, REPLIES),
        }
        found = {
            what: said or next((name for name in usual if name in names), "") for what, (said, usual) in wanted.items()
        }
        if not found["list"] and not (found["prompt"] and found["reply"]):
            there = ", ".join(repr(name[:60]) for name in names[:20]) or "none"
            do = "call them messages (or conversations), or instruction and output, or prompt and response; or name "
            do += "them: data.messages, or data.prompt and data.reply"
            raise DataError(Problem(f"the columns are those of no format of conversations: {there}", do=do))
        by_list = bool(found["list"]) and not (data.prompt and data.reply)
        self.columns = {"list": found["list"]} if by_list else {what: found[what] for what in ("prompt", "reply")}
        others = {"system": SYSTEMS, "tools": TOOLS, **({} if by_list else {"input": INPUTS, "history": HISTORY})}
        for what, usual in others.items():
            name = next((name for name in usual if name in names and name not in self.columns.values()), None)
            self.columns |= {what: name} if name else {}
        return tuple(self.columns.values())

    def name(self, first: Any) -> str:
        """What the format is called, in the report; `first` is the row's list of messages."""
        if "list" not in self.columns:
            return "Alpaca" if self.columns["prompt"] == "instruction" else "prompt and reply"
        share = isinstance(first, list) and first and isinstance(first[0], dict) and "from" in first[0]
        return "ShareGPT" if share else "messages"


def add_conversations(
    reading: Reading, cells: Iterator[Cells], known: Format, name: str, findings: Findings, skip: bool
) -> None:
    """Add each row's conversation, or note what is wrong with it, or `skip` it and count."""
    counts: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    for number, values in cells:
        row, where = dict(zip(known.columns, values, strict=True)), f"{name} row {number:,}"
        try:
            listed = written(row.get("list"))
            talk = _talk(row, listed, unread)
            refuse_disorder(talk.messages)
            if fault := fault_in("\n".join((talk.text, *talk.tools))):
                raise Fault("characters", fault)
        except Fault as fault:
            counts[fault.kind] += 1
            if not skip:
                findings.add(fault.kind, str(fault), where, fault.do)
            continue
        reading.formats[known.name(listed)] += 1
        reading.rows.append(Row(talk.text, "", where, talk=talk))
    if skip and counts:
        reading.notes.append(f"{name}: {left_out(counts)} were left out (task.broken='skip')")
    for field_name, count in unread.items():
        reading.notes.append(f"{name}: {count:,} messages have {field_name!r}, which is not read")


def left_out(counts: Mapping[str, int]) -> str:
    """How many conversations, and why."""
    several = ", ".join(f"{count:,} {LEFT_OUT.get(kind, 'that cannot be read')}" for kind, count in counts.items())
    return f"{sum(counts.values()):,} conversations ({several})"


def written(value: Any) -> Any:
    """A list or an object that stands as text in the cell of a table."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _talk(row: Mapping[str, Any], listed: Any, unread: Counter[str]) -> Talk:
    """The conversation that a row of any format holds. Raises Fault."""
    messages = list(_of_list(listed, unread)) if "list" in row else list(_of_pair(row, unread))
    system = row.get("system")
    if isinstance(system, str) and system.strip() and (not messages or messages[0].role != SYSTEM):
        messages.insert(0, Message(SYSTEM, system))
    return Talk(joined(messages), tuple(_tools(row.get("tools"))))


def _of_list(listed: Any, unread: Counter[str]) -> Iterator[Message]:
    if listed is MISSING or listed is None or listed == []:
        raise Fault("no reply", "there are no messages in it", "write them, or take the row out")
    if not isinstance(listed, list):
        do = 'write [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]'
        raise Fault("list", "the messages are not a list", do)
    for number, value in enumerate(listed, 1):
        yield message_of(value, number)
        unread.update(unread_in(value))


def _of_pair(row: Mapping[str, Any], unread: Counter[str]) -> Iterator[Message]:
    history = written(row.get("history"))
    for turn in history if isinstance(history, list) else [history] if history and history is not MISSING else ():
        if not isinstance(turn, list) or len(turn) != 2 or not all(isinstance(part, str) for part in turn):
            raise Fault("list", "its history is not a list of pairs", 'write [["question", "answer"], …]')
        yield Message(USER, turn[0])
        yield Message(ASSISTANT, turn[1])
    if (prompt := _listed(row["prompt"])) is not None:
        yield from _of_list(prompt, unread)
    else:
        beside = row.get("input")
        parts = [_text(row["prompt"], "prompt"), "" if beside in (None, MISSING) else _text(beside, "input")]
        yield Message(USER, _filled("\n".join(part for part in parts if part.strip()), "prompt", 1))
    if (reply := _listed(row["reply"])) is not None:
        yield from _of_list(reply, unread)
    else:
        yield Message(ASSISTANT, _filled(_text(row["reply"], "reply"), "reply", 2))


def _listed(value: Any) -> list[Any] | None:
    """The messages that a cell holds in place of a text."""
    value = written(value)
    of_messages = isinstance(value, list) and value and all(isinstance(turn, dict) and "role" in turn for turn in value)
    return value if of_messages else None


def _text(value: Any, called: str) -> str:
    if value is None or value is MISSING:
        return ""
    if not isinstance(value, str):
        raise Fault("message", f"its {called} is not a string")
    return value


def _filled(text: str, called: str, number: int) -> str:
    if not text.strip():
        raise Fault("empty message", f"its {called} is empty", "write it, or take the row out; task.broken='skip' does")
    return text


def _tools(value: Any) -> Iterator[str]:
    """Each tool as one line of JSON."""
    value = written(value)
    if value is None or value is MISSING or value == "" or value == []:
        return
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise Fault("tools", "its tools are not a list of objects", 'write [{"name": …, "parameters": {…}}]')
    for tool in value:
        yield json.dumps(tool, ensure_ascii=False)
