"""What comes from data is printed as text: no control character, no direction mark, no markup gets to the terminal."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from launcher.cli.columns import cells_of
from launcher.cli.display import data_lines, print_json
from launcher.cli.result import print_metrics
from launcher.json_lines import append_line
from launcher.printing import json_line, numbers, one_line

HOSTILE = "a\x1b[31mred\x1b]0;title\x07\x9b2J\x7f\u202eb\u2028c\r\n\t[bold]好"


def quiet(text: str) -> bool:
    return all(character == "\n" or character.isprintable() for character in text)


def test_one_line_is_one_line() -> None:
    shown = one_line(HOSTILE)
    assert quiet(shown) and "\n" not in shown
    assert shown.startswith(r"a\x1b[31mred") and shown.endswith(r"\r\n\t[bold]好")


def test_json_comes_back_as_it_was() -> None:
    line = json_line({HOSTILE: [HOSTILE, 1, None]})
    assert quiet(line) and "\n" not in line and "好" in line
    assert json.loads(line) == {HOSTILE: [HOSTILE, 1, None]}


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x2028, 0x2029, 0x202E, 0x2066])
def test_no_such_character_is_left(code: int) -> None:
    assert quiet(one_line(chr(code))) and quiet(json_line(chr(code)))
    assert json.loads(json_line(chr(code))) == chr(code)


def test_metrics_and_json_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 3}
    print_metrics(None, {"accuracy": 1.0, "examples": 3, "classes": {"a\x1b[31m[red]b": row}})
    printed = capsys.readouterr().out
    assert quiet(printed) and r"a\x1b[31m[red]b" in printed
    print_json({"label": HOSTILE})
    assert quiet(capsys.readouterr().out)


def test_lines_about_data_are_quiet_and_tell_what_was_converted() -> None:
    split = {"encoding": {"a\x1b.csv": "gb18030", "b.csv": "utf-8"}}
    facts = {
        "rows": {"train": 1200},
        "examples": {"train": 1200},
        "tokens": {"train": {"median": 5, "longest": 9}},
        "truncated": {"train": 7},
        "lost": {"train": {"words_cut": 30, "words_swallowed": 0, "entities_cut": 2}},
        "max_length": 9,
        "report": {
            "splits": {"train": split},
            "duplicates": {"dropped": {"repeated": 3, "conflicting": 0}},
            "tags": {"train": {"scheme": "BIOES", "converted": 1100}},
            "warnings": ["train holds no row of these labels: \x1b[31m"],
        },
    }
    assert data_lines(facts) == [
        "train: 1,200 rows, 5 tokens at the median, 9 at most, 7 cut at 9 (30 words cut, 2 entities cut)",
        "rows dropped: 3 repeated",
        r"a\x1b.csv: read as gb18030",
        "train: 1,100 sentences were written in BIOES and are BIO now",
        r"warning: train holds no row of these labels: \x1b[31m",
    ]
    (first, *_) = data_lines({**facts, "rows": {"train": 2400}})
    assert first.startswith("train: 1,200 rows, which the model sees as 2,400, 5 tokens at the median")


@pytest.mark.parametrize("columns", ["66", "80", "200"])
def test_names_of_classes_fit_whatever_their_script_and_length(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", columns)
    names = ["好评", "机构/组织名称的一个很长的名字", "x" * 120, "👍", "a name of many words " * 5]
    row = {"precision": 0.1234, "recall": 0.2345, "f1": 0.3456, "support": 1234567}
    told = {"accuracy": 1.0, "examples": 3000, "classes": dict.fromkeys(names, row)}
    print_metrics(told, told)
    lines = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    table = lines[next(n for n, line in enumerate(lines) if "support" in line) - 1 :]
    assert len({cells_of(line) for line in table}) == 1 and cells_of(table[0]) <= int(columns)
    assert sum("0.1234" in line and "1,234,567" in line for line in table) == len(names), "no number is cut"
    inside = "".join(line.split("│")[1].strip() for line in table if line.startswith("│"))
    assert inside.replace(" ", "") == "".join(names).replace(" ", ""), "no name is cut"
    assert any("3,000" in line for line in lines)


def test_numbers_that_json_lacks_are_null(tmp_path: Path) -> None:
    value = {"loss": math.nan, "norms": [math.inf, (1.5, -math.inf)], "step": 3}
    append_line(tmp_path / "events.jsonl", value)
    told = {"loss": None, "norms": [None, [1.5, None]], "step": 3}
    assert json.loads((tmp_path / "events.jsonl").read_text(), parse_constant=pytest.fail) == told
    assert json.loads(json_line(value), parse_constant=pytest.fail) == told
    assert numbers({"loss": None, "accuracy": 0.5}) == "loss undefined  accuracy 0.5000"
