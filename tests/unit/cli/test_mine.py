"""`launcher mine` on the terminal: what it asks for, the bar, and what it says of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from launcher.cli import mine
from launcher.errors import DataError

TOLD = {"file": "/a/b.jsonl", "rows": 1200, "without": 3, "queries": 1100, "passages": 900, "negatives": 5000}


class Child:
    """Stands for the process that computes."""

    asked: ClassVar[list[Any]] = []

    def __init__(self, verb: str) -> None:
        self.lines = iter([{"done": 1, "of": 4}, {"done": 4, "of": 4}, {"ended": TOLD}])
        self.verb = verb

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, request: dict[str, Any]) -> None:
        self.asked.append((self.verb, request))

    def line(self) -> dict[str, Any]:
        return next(self.lines)


def test_what_was_found_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(mine, "Heavy", Child)
    monkeypatch.setattr(mine, "model_folder", lambda run, runs: tmp_path / run)
    choice = {"count": 5, "skip": 0, "percent": 95.0, "margin": 0.0}
    mine.show_mining("a", Path("runs"), None, tmp_path / "b.jsonl", choice, False)
    verb, request = Child.asked.pop()
    assert verb == "mine"
    assert request == {"model": str(tmp_path / "a"), "data": None, "output": str(tmp_path / "b.jsonl"), **choice}
    assert capsys.readouterr().out.splitlines() == [
        "5,000 negatives in 1,200 rows: 1,100 queries among 900 passages",
        "3 rows are left out: no passage is near and certainly none of theirs",
        "/a/b.jsonl",
    ]
    mine.show_mining("a", Path("runs"), Path("c.jsonl"), tmp_path / "b.jsonl", choice, True)
    assert json.loads(capsys.readouterr().out) == TOLD
    with pytest.raises(DataError, match="there is no such folder"):
        mine.show_mining("a", Path("runs"), None, tmp_path / "none" / "b.jsonl", choice, False)
