"""Texts that are to be written for texts: in a table, or in two files line by line; what is wrong is told with rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, cast

import pytest

from launcher.errors import DataError, RecipeError
from launcher.recipe.data import Columns, Table
from launcher.recipe.parallel import ParallelLines
from launcher.recipe.task import TextClassification
from launcher.recipe.writing_tasks import Summarisation, Translation
from launcher.training.data import content_digest, read_corpus, read_rows

TASK, SKIPS = cast(Any, Translation()), cast(Any, Translation(broken="skip"))


def saved(folder: Path, name: str, lines: list[str]) -> str:
    data = "".join(f"{line}\n" for line in lines).encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(folder / name)


def refused(data: Any, task: Any = TASK) -> str:
    with pytest.raises(DataError) as error:
        read_corpus(data, task)
    return str(error.value)


def test_a_table_has_a_column_of_targets(tmp_path: Path) -> None:
    place = saved(tmp_path, "a.tsv", ["en\tzh", "a cat\t一只猫", "two dogs\t两只狗"])
    data = Table(train=place, text="en", target="zh")
    assert [(row.text, row.label) for row in read_rows(data, TASK, place)] == [
        ("a cat", "一只猫"),
        ("two dogs", "两只狗"),
    ]
    rows = [{"text": "long one", "target": ["short", "brief"]}, {"text": "long two", "target": "[Applause]"}]
    place = saved(tmp_path, "a.jsonl", list(map(json.dumps, rows)))
    read = read_rows(Table(train=place), cast(Any, Summarisation()), place)
    assert [row.label for row in read] == [("short", "brief"), "[Applause]"]


def test_lines_of_two_files_belong_together(tmp_path: Path) -> None:
    one = [saved(tmp_path, f"{name}.en.gz", lines) for name, lines in (("a", ["one", "two", ""]), ("b", ["three"]))]
    other = [saved(tmp_path, f"{name}.de", lines) for name, lines in (("a", ["eins", "zwei"]), ("b", ["drei\u2028x"]))]
    data = ParallelLines(train={"text": tuple(one), "target": tuple(other)}, validation_size=1, test_size=1)
    corpus = read_corpus(data, TASK)
    rows = [row for split in corpus.splits.values() for row in split]
    assert {(row.text, row.label) for row in rows} == {("one", "eins"), ("two", "zwei"), ("three", "drei\u2028x")}
    assert corpus.labels == () and corpus.report["splits"]["train"]["targets"]["longest"] in (4, 6)
    assert next(row.where for row in rows if row.text == "two") == "a.en.gz line 2"
    before = content_digest(data, TASK)
    Path(other[1]).write_text("vier\n")
    assert content_digest(data, TASK) != before
    (told,) = read_rows(data, TASK, {"text": one[1], "target": other[1]})
    assert (told.text, told.label) == ("three", "vier")


def test_a_line_without_its_pair_is_named(tmp_path: Path) -> None:
    one, other = saved(tmp_path, "t.en", ["a", "b", "c", "d"]), saved(tmp_path, "t.de", ["A", "B"])
    message = refused(ParallelLines(train={"text": one, "target": other}), SKIPS)
    assert "t.en has 4 lines and t.de 2: 2 without a pair\n  where: t.en line 3" in message
    more = ParallelLines(train={"text": (one, saved(tmp_path, "u.en", ["x"])), "target": one})
    assert "there are 2 files of texts and 1 of targets" in refused(more)


def test_a_row_with_one_side_stops_the_run_or_is_left_out(tmp_path: Path) -> None:
    lines = ["text,target", *(f"t{n},T{n}" for n in range(8)), "alone,", ",ALONE", " , ", "zero,Z"]
    data = Table(train=saved(tmp_path, "t.csv", lines))
    message = refused(data)
    assert "the row has a text and no target\n  where: t.csv row 10" in message
    assert "the row has a target and no text\n  where: t.csv row 11" in message and "row 12" not in message
    corpus = read_corpus(data, SKIPS)
    assert sum(map(len, corpus.splits.values())) == 9
    assert corpus.report["splits"]["train"]["empty_rows"] == 1
    note = "train: 2 rows without a text or a target (t.csv row 10, t.csv row 11), and left out"
    assert note in corpus.report["warnings"]


def test_a_last_line_that_is_empty_is_half_a_row_as_any_other(tmp_path: Path) -> None:
    one, other = saved(tmp_path, "t.en", ["a", "b", "c"]), saved(tmp_path, "t.de", ["A", "B", ""])
    rows = read_rows(ParallelLines(train={"text": one, "target": other}), SKIPS, {"text": one, "target": other})
    assert [row.text for row in rows] == ["a", "b"]
    assert "the row has a text and no target\n  where: t.en line 3" in refused(
        ParallelLines(train={"text": one, "target": other})
    )


def test_a_line_is_a_text_whatever_stands_in_it(tmp_path: Path) -> None:
    """As where code is written for a sentence; in a table's cell a list is several targets."""
    one, other = saved(tmp_path, "t.nl", ["an empty list", "two names"]), saved(tmp_path, "t.py", ["[]", "['a', 'b']"])
    rows = read_rows(ParallelLines(train={"text": one, "target": other}), TASK, {"text": one, "target": other})
    assert [row.label for row in rows] == ["[]", "['a', 'b']"]


def test_pairs_that_look_wrong_are_told(tmp_path: Path) -> None:
    lines = ["text,target", *(f"text {n},target {n}" for n in range(9)), "the same,the same", f"short,{'long ' * 20}"]
    warnings = read_corpus(Table(train=saved(tmp_path, "t.csv", lines)), TASK).report["warnings"]
    assert "train: 1 row whose target is the text itself (t.csv row 11)" in warnings
    assert "train: 1 row whose target is more than 9 times as long as the text (t.csv row 12)" in warnings


def test_several_translations_of_a_text_are_no_contradiction(tmp_path: Path) -> None:
    lines = ["text,target", "same,one", "same,other", "same,one", *(f"t{n},T{n}" for n in range(6))]
    data = Table(train=saved(tmp_path, "t.csv", lines), duplicates="drop", test_size=1, validation_size=1)
    corpus = read_corpus(data, TASK)
    assert corpus.report["duplicates"]["dropped"] == {"repeated": 1, "conflicting": 0, "in_a_given_split": 0}
    assert not [one for one in corpus.report["warnings"] if "labels" in one]


def test_a_target_that_is_no_text_is_named(tmp_path: Path) -> None:
    rows = [{"text": "a", "target": 3}, {"text": "b", "target": ["x", 4]}, {"text": "c"}, {"text": 5, "target": "x"}]
    message = refused(Table(train=saved(tmp_path, "t.jsonl", [*map(json.dumps, rows), '{"text": "d", "target": "D"}'])))
    for said in (
        "the target is a number, not a string\n  where: t.jsonl row 1",
        "the target is a list, not a string\n  where: t.jsonl row 2",
        "the row has no target column\n  where: t.jsonl row 3",
        "the text is a number, not a string\n  where: t.jsonl row 4",
    ):
        assert said in message


def test_data_and_task_that_do_not_suit_each_other(tmp_path: Path) -> None:
    sides = {"text": "x", "target": "y"}
    with pytest.raises(DataError, match="Columns holds tagged sentences"):
        read_rows(Columns(train="x"), TASK, "x")
    with pytest.raises(DataError, match="ParallelLines holds no labels"):
        read_rows(ParallelLines(train=sides), TextClassification(), sides)
    with pytest.raises(RecipeError, match="exactly two sides"):
        ParallelLines(train={"text": "x", "label": "y"})
    with pytest.raises(RecipeError, match="a file for each side"):
        ParallelLines(train=cast(Any, "train.en"))
