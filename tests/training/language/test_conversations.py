"""Conversations in four formats, and all that can be wrong with one."""

import json

import pytest

from launcher import Conversations, DataError, Dialogue, Table, TextClassification
from launcher.training.data import read_corpus, read_rows
from launcher.training.data.messages import Message

TASK = Dialogue()
ASKED, SAID = "知道这部电影吗？", "知道呀，是一部小说改编的电影。"
EXCHANGE = (Message("user", ASKED), Message("assistant", SAID))
MESSAGES = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}]


@pytest.fixture
def rows(tmp_path):
    """Write a file, and read its rows."""

    def read(name, written, task=TASK, **fields):
        path = tmp_path / name
        path.write_text(written if isinstance(written, str) else json.dumps(written), encoding="utf-8")
        return read_rows(Conversations(train=str(path), **fields), task, str(path))

    return read


def test_every_format_gives_the_same_conversation(rows):
    share = [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}]
    parts = [{"role": "user", "content": [{"type": "text", "text": ASKED}]}, MESSAGES[1]]
    one_line = [json.dumps(turn, ensure_ascii=False) for turn in ({"messages": MESSAGES}, {"id": 1})]
    written = [
        rows("messages.jsonl", one_line[0]),
        rows("parts.json", [{"messages": parts}]),
        rows("share.json", [{"conversations": share, "tools": "", "system": ""}]),
        rows("alpaca.json", [{"instruction": ASKED, "input": "", "output": SAID}]),
        rows("alpaca_with_input.json", [{"instruction": ASKED[:4], "input": ASKED[4:], "output": SAID}]),
        rows("pairs.csv", f"prompt,response\n{ASKED},{SAID}\n"),
        rows("问答.tsv", f"问题\t回答\n{ASKED}\t{SAID}\n"),
        rows("named.jsonl", json.dumps({"frage": ASKED, "antwort": SAID}), prompt="frage", reply="antwort"),
        rows("both.json", [{"prompt": MESSAGES[:1], "completion": MESSAGES[1:]}]),
        rows("cell.csv", "messages\n" + '"' + json.dumps(MESSAGES).replace('"', '""') + '"\n'),
    ]
    for index, (row,) in enumerate(written):
        asked = f"{ASKED[:4]}\n{ASKED[4:]}" if index == 4 else ASKED
        assert row.talk.messages == (Message("user", asked), EXCHANGE[1]), row
    assert written[0][0].text == f"user: {ASKED}\nassistant: {SAID}" and written[0][0].label == ""


def test_systems_history_calls_and_tools(rows):
    call = {"name": "find", "arguments": {"city": "Bern"}}
    share = [
        {"from": "human", "value": ASKED},
        {"from": "gpt", "value": "I look."},
        {"from": "function_call", "value": json.dumps(call)},
        {"from": "observation", "value": "{}"},
        {"from": "gpt", "value": SAID},
    ]
    (row,) = rows("share.json", [{"conversations": share, "system": "Be brief.", "tools": '[{"name": "find"}]'}])
    assert [message.role for message in row.talk.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert row.talk.messages[2] == Message("assistant", "I look.", (json.dumps(call),))
    assert row.talk.tools == ('{"name": "find"}',) and row.talk.replies == 2
    function = {"type": "function", "function": {"name": "find", "arguments": '{"city": "Bern"}'}}
    turns = [
        MESSAGES[0],
        {"role": "assistant", "content": None, "tool_calls": [function]},
        {"role": "tool", "content": "{}"},
    ]
    (row,) = rows("openai.json", [{"messages": [*turns, MESSAGES[1]]}])
    assert row.talk.messages[1] == Message("assistant", "", (json.dumps(call),))
    (row,) = rows("history.json", [{"instruction": "c", "output": "d", "history": [["a", "b"]]}])
    assert [message.content for message in row.talk.messages] == ["a", "b", "c", "d"]


def turns(*said):
    """A row with these turns, `u` and `a` of which are said by whom."""
    roles = {"u": "user", "a": "assistant", "s": "system", "t": "tool"}
    return {"messages": [{"role": roles.get(turn[0], turn), "content": turn[1:].strip()} for turn in said]}


WRONG = {
    "there is no reply in it": turns("u 1"),
    "it ends with the user, and has no reply to that": turns("u 1", "a 2", "u 3"),
    "message 3 is the user's, and so is message 2": turns("a 0", "u 1", "u 2") | turns("s 0", "u 1", "u 2", "a 3"),
    "message 1 is the assistant's, and the user has said nothing yet": turns("a 1", "u 2", "a 3"),
    "message 3 is a system turn, which can only come first": turns("u 1", "a 2", "s 3", "u 4", "a 5"),
    "message 3 is what a tool gave, and message 2 calls none": turns("u 1", "a 2", "t 3", "a 4"),
    "message 2 (assistant) is empty": turns("u 1", "a"),
    "message 1 has the role 'usr', which is not known": {"messages": [{"role": "usr", "content": "1"}]},
    "message 1 does not say whose it is": {"messages": [{"content": "1"}]},
    "message 1 (user) holds a part of the type 'image_url'": {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]
    },
    "the messages are not a list": {"messages": "hello"},
    "the call in message 2 is not valid JSON": {
        "messages": [{"from": "human", "value": "1"}, {"from": "function_call", "value": "{find"}]
    },
    "the text holds a NUL character": turns("u 1\0", "a 2"),
    "the text holds half of a surrogate pair": turns("u 1", "a 2") | {"tools": [{"name": "\ud800"}]},
    "the arguments of the call in message 2 are not valid JSON": {
        "messages": [MESSAGES[0], {"role": "assistant", "function_call": {"name": "f", "arguments": "[" * 100_000}}]
    },
}


def test_all_that_is_wrong_is_told_at_once_with_its_rows(rows):
    lines = [*WRONG.values(), turns("u 1", "a 2"), turns("u 1")]
    with pytest.raises(DataError) as told:
        rows("wrong.jsonl", "\n".join(map(json.dumps, lines)))
    said = {problem.what: problem.where for problem in told.value.problems}
    for number, what in enumerate(WRONG, 1):
        (where,) = [said[each] for each in said if what in each]
        assert where == (f"wrong.jsonl row 1, {len(lines)}" if number == 1 else f"wrong.jsonl row {number}"), what
    assert "did you mean 'user'?" in str(told.value)


def test_what_cannot_be_used_is_left_out_and_counted(tmp_path):
    path = tmp_path / "some.jsonl"
    good = [turns(f"u {number}", "a 2") for number in range(20)]
    path.write_text("\n".join(map(json.dumps, [*good, *WRONG.values(), turns("u 1")])), encoding="utf-8")
    corpus = read_corpus(Conversations(train=str(path)), Dialogue(broken="skip"))
    assert sum(map(len, corpus.splits.values())) == 20 and corpus.labels == ()
    (warning,) = [one for one in corpus.report["warnings"] if "left out" in one]
    assert warning.startswith(
        "train: some.jsonl: 16 conversations (2 without a reply, 1 that end without a reply, 4 with"
    )
    assert "4 with roles out of order, 1 with an empty message" in warning and "task.broken='skip'" in warning
    assert corpus.report["splits"]["train"]["formats"] == {"messages": 20}


def test_what_would_be_lost_is_told(tmp_path):
    path = tmp_path / "thinking.jsonl"
    thinks = {"messages": [{**MESSAGES[0], "weight": 1}, {**MESSAGES[1], "reasoning_content": "hm", "weight": 0}]}
    path.write_text("\n".join(json.dumps(thinks).replace("hm", "h" * n) for n in range(1, 9)), encoding="utf-8")
    report = read_corpus(Conversations(train=str(path)), TASK).report
    assert "train: thinking.jsonl: 8 messages have 'reasoning_content', which is not read" in report["warnings"]
    assert "train: thinking.jsonl: 8 messages have 'weight', which is not read" in report["warnings"]


def test_a_history_that_is_no_list_is_told(rows):
    with pytest.raises(DataError, match="its history is not a list of pairs"):
        rows("history.json", [{"instruction": "c", "output": "d", "history": 5}])


def test_other_columns_and_other_tasks(rows, tmp_path):
    with pytest.raises(DataError, match="no format of conversations: 'a', 'b'") as told:
        rows("other.csv", "a,b\n1,2\n")
    assert "data.messages, or data.prompt and data.reply" in str(told.value) and "other.csv" in str(told.value)
    with pytest.raises(DataError, match="no column 'talk'"):
        rows("named.jsonl", json.dumps({"messages": MESSAGES}), messages="talk")
    with pytest.raises(DataError, match="Conversations holds no labels"):
        rows("labels.jsonl", json.dumps({"messages": MESSAGES}), task=TextClassification())
    path = tmp_path / "table.csv"
    path.write_text("text,label\na,b\n")
    with pytest.raises(DataError, match="Table holds no conversations"):
        read_rows(Table(train=str(path)), TASK, str(path))
