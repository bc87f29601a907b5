"""`launcher chat` without a model: commands, what is remembered, what is cut, Ctrl-C, and the process that answers."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.child import Heavy
from launcher.cli import chat
from launcher.errors import BackendError, DataError, Problem


class Child:
    """Answers each message with its text twice, in two pieces; what it is asked is kept."""

    def __init__(self, verb: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.lines: list[Any] = [{"ready": True}]
        self.signals: list[int] = []
        self.process = SimpleNamespace(send_signal=self.signals.append)
        self.left_out = 0
        children.append(self)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, request: dict[str, Any]) -> None:
        # a list of its own: the conversation goes on with it
        self.asked.append({**request, "messages": list(request.get("messages", ()))})
        if "messages" not in request:
            return
        said = request["messages"][-1]["content"]
        if said == "too long":
            self.lines.append({"error": DataError(Problem("the message has 99 tokens")).document()})
            return
        if said == "stop":
            self.lines.append(KeyboardInterrupt())
        pieces = [{"piece": said}, {"piece": said}]
        done = {"text": said * 2, "left_out": 3 if said == "cut" else 0, "stopped": said == "stop"}
        self.lines += [*pieces, {"done": done | ({"unfinished": True} if said == "cut" else {})}]

    def line(self) -> Any:
        line = self.lines.pop(0)
        if isinstance(line, BaseException):
            raise line
        return line


children: list[Child] = []


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Child]:
    """Type these lines; the child."""
    (tmp_path / "launcher.json").write_text("{}")
    monkeypatch.setattr(chat, "Heavy", Child)

    def typed(*lines: str, system: str | None = None) -> Child:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        chat.hold_chat(str(tmp_path), Path("runs"), system, {})
        return children[-1]

    return typed


def test_a_conversation_remembers_what_was_said(talk: Callable[..., Child], capsys: pytest.CaptureFixture[str]) -> None:
    child = talk("你好", "", "再见", system="简短")
    said = [{"role": "system", "content": "简短"}, {"role": "user", "content": "你好"}]
    assert [request["messages"] for request in child.asked[1:]] == [
        said,
        [*said, {"role": "assistant", "content": "你好你好"}, {"role": "user", "content": "再见"}],
    ]
    assert capsys.readouterr().out == "你好你好\n再见再见\n", "not a terminal: the answers and nothing else"


def test_its_commands(talk: Callable[..., Child], capsys: pytest.CaptureFixture[str]) -> None:
    child = talk("a", "/reset", "b", "/system be brief", "c", "//d", "/rest", "/exit", "never")
    contents = [[message["content"] for message in request["messages"]] for request in child.asked[1:]]
    assert contents == [["a"], ["b"], ["be brief", "c"], ["be brief", "c", "cc", "/d"]]
    assert "there is no /rest; did you mean '/reset'?" in capsys.readouterr().err


def test_what_was_left_out_or_refused_is_told(talk: Callable[..., Child], capsys: pytest.CaptureFixture[str]) -> None:
    child = talk("cut", "too long", "d")
    said = capsys.readouterr()
    assert "the oldest 3 messages were left out" in said.err and "cut at max_new_tokens" in said.err
    assert "the message has 99 tokens" in said.err
    assert [message["content"] for message in child.asked[-1]["messages"]] == ["cut", "cutcut", "d"]


def test_an_answer_is_ended_by_ctrl_c_and_the_conversation_goes_on(talk: Callable[..., Child]) -> None:
    child = talk("stop", "on")
    assert child.signals == [signal.SIGINT]
    assert [message["content"] for message in child.asked[-1]["messages"]] == ["stop", "stopstop", "on"]


def test_a_model_cannot_steer_the_terminal(talk: Callable[..., Child], capsys: pytest.CaptureFixture[str]) -> None:
    talk("\x1b[2J好")
    assert capsys.readouterr().out == "\\x1b[2J好" * 2 + "\n"


def test_lines_are_typed_until_two_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter(["a", KeyboardInterrupt, "b", KeyboardInterrupt, KeyboardInterrupt, "never"])

    def read(_: str) -> str:
        line = next(typed)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr("builtins.input", read)
    assert list(chat.lines_of(True)) == ["a", "b"]


def test_the_process_that_answers_says_why_it_cannot(tmp_path: Path) -> None:
    with Heavy("chat") as child:
        child.ask({"model": str(tmp_path), "set": {}})
        with pytest.raises(BackendError, match="the run has no saved model"):
            child.line()
