"""Files of JSON lines: what is new is read once, from either end, torn or replaced."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from launcher import json_lines
from launcher.json_lines import NewLines, append_line, last_lines, read_lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def steps(lines: list[dict[str, object]]) -> list[object]:
    return [line["step"] for line in lines]


def test_each_line_is_told_once(path: Path) -> None:
    news = NewLines(path)
    assert news.look() == []
    for step in range(3):
        append_line(path, {"step": step})
    assert steps(news.look()) == [0, 1, 2]
    assert news.look() == []
    append_line(path, {"step": 3})
    assert steps(news.look()) == [3]


def test_no_byte_is_read_twice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text('{"step": 0}\n' * 1000)
    read = []
    parsed = json_lines._parsed
    monkeypatch.setattr(json_lines, "_parsed", lambda lines: parsed(read.extend(lines) or lines))
    news = NewLines(path)
    for _ in range(5):
        news.look()
        append_line(path, {"step": 1})
    assert sum(line != b"" for line in read) == 1004


def test_a_torn_line_is_told_when_it_is_whole(path: Path) -> None:
    line = '{"step": 2, "类": "好的"}\n'.encode()
    for cut in range(1, len(line)):
        path.write_bytes(b'{"step": 1}\n' + line[:cut])
        news = NewLines(path)
        assert steps(news.look()) == [1]
        with path.open("ab") as file:
            file.write(line[cut:])
        assert steps(news.look()) == [2], cut


def test_what_a_killed_writer_left_costs_itself_alone(path: Path) -> None:
    path.write_bytes(b'{"step": 1}\n{"step": 2, "lo')
    news = NewLines(path)
    assert steps(news.look()) == [1]
    append_line(path, {"step": 3})
    assert steps(news.look()) == [3]


@pytest.mark.parametrize("line", ["[1, 2]", "null", "3", '"x"', "[" * 100_000, "\x00" * 9, ""])
def test_a_line_that_is_no_object_is_left_out(path: Path, line: str) -> None:
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
    assert steps(NewLines(path).look()) == [1, 2] == steps(last_lines(path, 5, lambda line: True))


def test_another_file_of_that_name_is_read_from_its_beginning(path: Path) -> None:
    news = NewLines(path)
    path.write_text('{"step": 1}\n{"step": 2}\n')
    assert steps(news.look()) == [1, 2]
    path.write_text('{"step": 7}\n')  # cut, and written anew
    assert steps(news.look()) == [7]
    other = path.with_name("other")
    other.write_text('{"step": 8}\n{"step": 9}\n{"step": 10}\n')
    other.replace(path)
    assert steps(news.look()) == [8, 9, 10]
    path.unlink()
    assert news.look() == []
    path.write_text('{"step": 11}\n')
    assert steps(news.look()) == [11]


@pytest.mark.parametrize("torn", [b"", b'{"step": 9', b"x" * 100])
def test_what_is_there_can_be_left_out(path: Path, torn: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "BLOCK", 7)
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n' + torn)
    news = NewLines(path)
    news.skip()
    assert news.look() == []
    append_line(path, {"step": 3})
    assert steps(news.look()) == [3]
    nothing = NewLines(path.with_name("none"))
    nothing.skip()
    assert nothing.look() == []


def test_the_newest_that_count_are_found_from_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(3)
    for block in (1, 5, 40, 1 << 16):
        monkeypatch.setattr(json_lines, "BLOCK", block)
        lines = [f'{{"step": {step}, "text": "{"好" * dice.randint(0, 30)}"}}\n' for step in range(30)]
        path.write_text("".join(lines) + '{"step": 30, "te')
        assert steps(last_lines(path, 3, lambda line: True)) == [27, 28, 29]
        assert steps(last_lines(path, 3, lambda line: line["step"] % 10 == 0)) == [0, 10, 20]
        assert steps(last_lines(path, 99, lambda line: True)) == list(range(30)) == steps(list(read_lines(path)))
    assert last_lines(path.with_name("none"), 3, lambda line: True) == []


def test_the_end_of_a_long_file_is_found_without_its_beginning(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte that takes no room
        file.seek(0, 2)
        file.write(b'\n{"step": 1}\n')
    assert steps(last_lines(path, 1, lambda line: True)) == [1]
