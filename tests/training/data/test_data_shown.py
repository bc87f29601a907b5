"""`launcher data`: statistics that can be counted by hand, rows as the model sees them, nothing raw on the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launcher import Columns, Full, MeanPooling, RandomVectors, Recipe, Table, TextClassification, TokenClassification
from launcher import Training as Settings
from launcher.errors import DataError
from launcher.training.prepare import prepare
from launcher.training.report.data_view import inspect, length_facts, vocabulary_facts


def recipe(data: Any, task: Any, **embedding: Any) -> Recipe:
    source = RandomVectors(dimension=4, encoder=MeanPooling(hidden=4), tokens="characters", **embedding)
    return Recipe(task=task, data=data, embedding=source, peft=Full(), training=Settings(learning_rate=0.1))


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six rows to train on, two to validate, two to test: one of each of these is known from train."""
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    rows = {
        "train": ["好a", "差b", "好a", "好好好好好好\x1b[31m", "差差", "好"],
        "dev": ["好", "新c"],
        "test": ["差差", "龘"],
    }
    for name, of_split in rows.items():
        label = {"好": "good [red]", "差": "bad", "新": "bad", "龘": "bad"}
        lines = [f"{text},{label[text[0]]}" for text in of_split]
        (tmp_path / f"{name}.csv").write_text(
            "\n".join(["text,label", *lines]), encoding="gbk" if name == "dev" else None
        )
    (tmp_path / "dev.csv").write_text("text,label\n好,good [red]\n这本书写得非常好，值得推荐,bad\n", encoding="gbk")
    return tmp_path


def test_statistics_are_those_counted_by_hand(texts: Path) -> None:
    data = Table(**{split: str(texts / f"{name}.csv") for split, name in
                    {"train": "train", "validation": "dev", "test": "test"}.items()})  # fmt: skip
    told = inspect(recipe(data, TextClassification(), max_length=6), 10, str(texts / "png"))
    assert json.loads(json.dumps(told)) == told
    train, validation, test = told["splits"].values()
    assert (train["rows"], validation["rows"], test["rows"]) == (6, 2, 2)
    assert told["balance"] == {
        "train": {"bad": 2, "good [red]": 4},
        "validation": {"bad": 1, "good [red]": 1},
        "test": {"bad": 2, "good [red]": 0},
    }
    assert (train["repeated"], told["shared"]["train and validation"], told["shared"]["train and test"]) == (1, 1, 1)
    assert train["truncated"] == 1 and validation["truncated"] == 1
    assert validation["encoding"] == {"dev.csv": "gb18030"}
    assert train["tokens"]["sum"] == 2 + 2 + 2 + 6 + 2 + 1 and train["tokens"]["longest"] == 6
    assert train["tokens"]["histogram"] == {"width": 1, "counts": [0, 1, 4, 0, 0, 0, 1]}
    assert train["vocabulary"]["unknown"] == 0 and train["vocabulary"]["coverage"] == 1.0
    assert (validation["vocabulary"]["tokens"], validation["vocabulary"]["unknown"]) == (7, 6)
    assert (test["vocabulary"]["tokens"], test["vocabulary"]["unknown"]) == (3, 1)
    assert {path.name for path in (texts / "png").iterdir()} == {
        *("labels.png", "lengths.png"),
        *(f"examples-{split}.png" for split in told["splits"]),
    }
    assert sorted(told["figures"]) == sorted(str(path) for path in (texts / "png").iterdir())


def test_examples_are_the_rows_as_the_model_sees_them(texts: Path) -> None:
    data = Table(train=str(texts / "train.csv"), validation=str(texts / "dev.csv"), test=str(texts / "test.csv"))
    told = inspect(recipe(data, TextClassification(), max_length=6), 10, None)
    assert "figures" not in told
    assert [len(rows) for rows in told["examples"].values()] == [6, 2, 2]
    cut = told["examples"]["train"][3]
    assert cut["where"] == "train.csv row 5" and cut["label"] == "good [red]"
    assert [token["token"] for token in cut["tokens"]] == ["好"] * 6
    assert cut["cut"] == {"tokens": 5, "text": "\x1b[31m"}
    (unknown,) = told["examples"]["test"][1]["tokens"]
    assert (unknown["token"], unknown["text"], unknown["unknown"]) == ("[UNK]", "龘", True)


def test_tokens_carry_the_labels_that_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    sentence = "王 B-人\n小 M-人\n明 E-人\n在 O\n北 B-地\n京 E-地\n"
    (tmp_path / "a.conll").write_text("\n".join([sentence] * 9 + ["是 S-人\n"]), encoding="utf-8")
    data = Columns(train=str(tmp_path / "a.conll"), validation_size=2, test_size=2)
    told = inspect(recipe(data, TokenClassification(tokens="characters"), max_length=5), 1, None)
    assert told["tags"] == {"train": {"scheme": "BMES", "converted": 10}}
    example = next(rows[0] for rows in told["examples"].values() if len(rows[0]["tokens"]) > 1)
    assert [(t["token"], t["label"]) for t in example["tokens"]] == list(
        zip("王小明在北", ["B-人", "I-人", "I-人", "O", "B-地"], strict=True)
    )
    assert example["cut"] == {"tokens": 1, "text": "京"} and example["swallowed"] == []
    lost = [split["lost"] for split in told["splits"].values()]
    assert sum(one["entities_cut"] for one in lost) == sum(one["words_cut"] for one in lost) == 9
    assert sum(told["balance"][split]["地"] for split in told["splits"]) == 9


def test_pieces_of_words_are_shown_with_one_label(bert: Path) -> None:
    from transformers import AutoTokenizer

    from launcher.training.data import Row
    from launcher.training.report.data_view import as_seen

    row = Row(("word1", "new"), ("B-X", "O"), "x line 1")
    told = as_seen(row, AutoTokenizer.from_pretrained(bert), 9)
    shown = [(t["token"], t["text"], t["label"], t["special"], t["unknown"]) for t in told["tokens"]]
    assert shown == [
        ("[CLS]", "", None, True, False),
        ("word1", "word1", "B-X", False, False),
        ("[UNK]", "new", "O", False, True),
        ("[SEP]", "", None, True, False),
    ]


def test_special_tokens_are_no_vocabulary(bert: Path) -> None:
    import numpy as np
    from transformers import AutoTokenizer

    told = vocabulary_facts(np.array([2, 4, 1, 5, 4, 3]), AutoTokenizer.from_pretrained(bert))
    assert told == {"tokens": 4, "unknown": 1, "coverage": 0.75, "used": 3, "size": 64}


@pytest.mark.parametrize("longest", [1, 5, 20, 21, 40, 399])
def test_every_length_is_in_one_bin(longest: int) -> None:
    import numpy as np

    lengths = np.arange(longest + 1)
    told = length_facts(lengths, longest)
    assert sum(told["histogram"]["counts"]) == longest + 1
    width, counts = told["histogram"]["width"], told["histogram"]["counts"]
    assert counts[:-1] == [width] * (len(counts) - 1) and len(counts) <= 22


def test_the_command_prints_tables_and_nothing_raw(texts: Path) -> None:
    source = f"""from launcher import *

recipe = Recipe(
    task=TextClassification(),
    data=Table(train={str(texts / "train.csv")!r}, validation="dev.csv", test={str(texts / "test.csv")!r}),
    embedding=RandomVectors(dimension=4, tokens="characters", max_length=6, encoder=MeanPooling(hidden=4)),
    peft=Full(),
    training=Training(),
)
"""
    (texts / "small.py").write_text(source)
    environment = {**os.environ, "RECIPE_LAUNCHER_CACHE": str(texts / "cache")}
    words = [sys.executable, "-m", "launcher", "data", "small.py", "--rows", "6"]
    done = subprocess.run(words, cwd=texts, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert all(character == "\n" or character.isprintable() for character in done.stdout)
    for shown in (
        "cut at 6 tokens",
        "1 (16.7 %)",
        "good [red]  4 (66.7 %)",
        "好 好 好 好 好 好 ",
        r"cut: 5 tokens: \x1b[31m",
        "[UNK]=龘",
        "leaks: train and validation share 1 text; train and test share 1 text",
        "gb18030",
    ):
        assert shown in done.stdout, done.stdout
    told = json.loads(subprocess.check_output([*words, "--json"], cwd=texts, env=environment))
    assert told["splits"]["train"]["rows"] == 6


def test_a_cache_that_cannot_be_written_is_told(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"cannot be kept in .*file/cache: .*Not a directory") as refused:
        prepare(recipe(Table(train=str(texts / "train.csv")), TextClassification()))
    assert "RECIPE_LAUNCHER_CACHE" in str(refused.value)
