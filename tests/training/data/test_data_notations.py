"""Labels and entities in notations of other tools: lists as text, 1.0 for 1, marked places, comments."""

from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import DataError
from launcher.recipe.data import Columns, LabelledLines, Table
from launcher.recipe.task import MultiLabelClassification, Task, TextClassification, TokenClassification
from launcher.training.data import Corpus, Row, read_corpus, read_rows, under_known_labels

ONE, SEVERAL, TAGS = TextClassification(), MultiLabelClassification(), TokenClassification()


def saved(folder: Path, rows: list[tuple[str, Any]], name: str = "t.csv") -> str:
    path = folder / name
    if name.endswith(".jsonl"):
        lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
        path.write_text("\n".join(lines), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t" if name.endswith(".tsv") else ",").writerows([("text", "label"), *rows])
    return str(path)


def corpus(folder: Path, task: Task, labels: list[Any], name: str = "t.csv", **more: Any) -> Corpus:
    rows = [(f"text {number}", label) for number, label in enumerate(labels)]
    return read_corpus(Table(train=saved(folder, rows, name), **more), task)


def refused(folder: Path, task: Task, labels: list[Any], name: str = "t.csv", **more: Any) -> str:
    with pytest.raises(DataError) as error:
        corpus(folder, task, labels, name, **more)
    return str(error.value)


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("['sport', 'money']", ("money", "sport")),
        ('["sport", "\\u8d22\\u7ecf"]', ("sport", "财经")),
        ("['sport' 'money'\n 'art']", ("art", "money", "sport")),
        ("('sport',)", ("sport",)),
        ("{'sport', 'money'}", ("money", "sport")),
        ('["it\'s", "a, b"]', ("a, b", "it's")),
        (r"['it\'s']", ("it's",)),
        ("[1, 22]", ("1", "22")),
        ("[1.0, 2]", ("1", "2")),
        ("[1 22]", ("1", "22")),
        ("[]", ()),
        ("set()", ()),
        (" ( ) ", ()),
        ("sport|money", ("money", "sport")),
        ("sport (team)|(A)", ("(A)", "sport (team)")),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_list_written_as_text_is_the_list_it_is(
    tmp_path: Path, cell: str, labels: tuple[str, ...], name: str
) -> None:
    place = saved(tmp_path, [("a", cell)], name)
    assert read_rows(Table(train="x"), SEVERAL, place)[0].label == labels


@pytest.mark.parametrize("cell", ["[sport, money]", "[sport]", "['a', nan]", "array(['a'], dtype=object)", "{'a': 1}"])
def test_half_a_list_is_refused_with_its_row(tmp_path: Path, cell: str) -> None:
    message = refused(tmp_path, SEVERAL, ["a", cell, "b"])
    assert "looks like a list" in message and "t.csv row 3" in message and '["one", "other"] or one|other' in message


@pytest.mark.parametrize("cell", ["[0, 1, 0]", "[1 0 0 1]", "0|0|1"])
def test_a_switch_for_each_class_is_no_list_of_names(tmp_path: Path, cell: str) -> None:
    assert "one yes or no for each class\n  where: t.csv row 3" in refused(tmp_path, SEVERAL, ["a", cell])


@pytest.mark.parametrize("mark", [";", ",", "/", ", ", "、", " "])
def test_labels_that_something_else_parts_are_refused(tmp_path: Path, mark: str) -> None:
    cells = ["a", f"a{mark}b", f"b{mark}c", f"c{mark}a{mark}b"] * 5
    message = refused(tmp_path, SEVERAL, cells)
    assert f"write Table(label_separator={mark.strip() or mark!r})" in message and "t.csv row 3" in message
    found = corpus(tmp_path, SEVERAL, cells, label_separator=mark)
    assert found.labels == ("a", "b", "c")
    named = tuple(dict.fromkeys(cells))
    assert corpus(tmp_path, MultiLabelClassification(labels=named), cells).labels == named


def test_labels_that_only_hold_such_marks_are_labels(tmp_path: Path) -> None:
    cells = ["Sci/Tech", "New York", "New Delhi", "R&B", "Rock, Pop", "Art"] * 4
    assert corpus(tmp_path, SEVERAL, cells).labels == tuple(sorted(set(cells)))


@pytest.mark.parametrize("cell", ["['sport', 'money']", '["sport"]', "[]", "('sport',)", "[1, 2]", "set()"])
def test_a_task_of_one_label_takes_no_list_as_text(tmp_path: Path, cell: str) -> None:
    message = refused(tmp_path, ONE, ["a", cell, "b"])
    assert "is a list written as text\n  where: t.csv row 3" in message and "MultiLabelClassification" in message
    same = ["[A]", "(1)", "(18, 25)", "a [b]"]
    assert corpus(tmp_path, ONE, same * 5).labels == tuple(sorted(same))


def test_numbers_that_pandas_wrote_with_a_zero_are_one_class(tmp_path: Path) -> None:
    found = corpus(tmp_path, ONE, ["1", "0", "1.0", "0.0", "-2.", "-2"] * 5)
    assert found.labels == ("-2", "0", "1")
    assert "the labels '1.0' (5) and '1' (5) are one number, and read as '1'" in found.report["warnings"]
    assert corpus(tmp_path, SEVERAL, ["1|2.0", "1.0", "2"] * 5).labels == ("1", "2")
    assert corpus(tmp_path, TextClassification(labels=("1.0", "0")), ["1", "0", "1"] * 4).labels == ("1.0", "0")
    # nothing else is touched: halves, versions that have no other spelling, names of the recipe's own
    same = ["1.0", "1.5", "2.0", "01"]
    assert corpus(tmp_path, ONE, same * 5).labels == tuple(sorted(same))
    own = TextClassification(labels=("1", "1.0"))
    assert corpus(tmp_path, own, ["1", "1.0"] * 5).labels == ("1", "1.0")


def test_rows_to_evaluate_on_are_spelt_as_the_model_knows_them() -> None:
    rows = [Row("a", "1", "x"), Row("b", "2.0", "y")]
    assert [row.label for row in under_known_labels(rows, ("1.0", "2"), "x.csv")] == ["1.0", "2"]
    with pytest.raises(DataError, match=r"'3' of x\.csv is not one"):
        under_known_labels([Row("a", "3", "x")], ("1.0", "2"), "x.csv")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sport", "sport"),
        ("new york", "new  york"),
        ("Ａ", "A"),
        ("été", unicodedata.normalize("NFD", "été")),
        ("01", "1"),
    ],
)
@pytest.mark.parametrize("task", [ONE, SEVERAL, TAGS])
def test_labels_that_are_hard_to_tell_apart_are_named_with_their_counts(
    tmp_path: Path, one: str, other: str, task: Task
) -> None:
    if task is TAGS:
        rows = [(["a", "b"], ["O", f"B-{name}"]) for name in [one, one, other] * 5]
        found = read_corpus(Table(train=saved(tmp_path, rows, "t.jsonl")), task)
    else:
        found = corpus(tmp_path, task, [one, one, other] * 5)
    (warning,) = [note for note in found.report["warnings"] if "differ only in" in note]
    assert "(10 rows)" in warning and "(5 rows)" in warning
    assert warning.count("'") == 4 and len({part for part in warning.split("'")[1::2]}) == 2


def test_a_file_without_a_header_is_proposed_and_read(tmp_path: Path) -> None:
    lines = [f"{'好' if number % 2 else '坏'}的一句话，第{number}句\t{number % 2}" for number in range(20)]
    path = tmp_path / "t.tsv"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_corpus(Table(train=str(path)), ONE)
    assert "the first line seems to be a row already" in str(error.value)
    assert "Table(columns=('text', 'label'))" in str(error.value)
    assert len(read_rows(Table(train="x", columns=("text", "label")), ONE, str(path))) == 20
    with pytest.raises(DataError, match=r"2 cells, data\.columns names 3"):
        read_rows(Table(train="x", columns=("text", "label", "more")), ONE, str(path))

    (tmp_path / "t.txt").write_text("\n".join(line.replace("\t", "_!_") for line in lines), encoding="utf-8")
    place = str(tmp_path / "t.txt")
    with pytest.raises(DataError, match=r"separator='\\t'"):
        read_rows(Table(train="x"), ONE, place)
    with pytest.raises(DataError) as error:
        read_rows(Table(train="x", separator="\t"), ONE, place)
    assert "Table(columns=('text', 'label'), separator='_!_')" in str(error.value)
    rows = read_rows(Table(train="x", separator="_!_", columns=["text", "label"]), ONE, place)
    assert rows[3].label == "1" and rows[0].where == "t.txt row 1"

    (tmp_path / "s.csv").write_text('text;label\n"a;b";x\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"write Table\(separator=';'\)"):
        read_rows(Table(train="x"), ONE, str(tmp_path / "s.csv"))
    assert read_rows(Table(train="x", separator=";"), ONE, str(tmp_path / "s.csv"))[0].text == "a;b"
    with pytest.raises(DataError, match=r"leave data\.columns out"):
        read_rows(Table(train="x", separator=";", columns=("text", "label")), ONE, str(tmp_path / "s.csv"))
    with pytest.raises(DataError, match="names its own columns"):
        read_rows(Table(train="x", separator=";"), ONE, saved(tmp_path, [("a", "b")], "t.jsonl"))


def test_sentences_in_a_csv_are_lists_as_text(tmp_path: Path) -> None:
    place = saved(tmp_path, [("['Anna', 'saw']", "['B-PER' 'O']")])
    assert read_rows(Table(train="x"), TAGS, place)[0] == Row(("Anna", "saw"), ("B-PER", "O"), "t.csv row 2")


def conll(folder: Path, content: str, **options: Any) -> list[Row]:
    (folder / "t.conll").write_text(content, encoding="utf-8")
    return read_rows(Columns(train="x", **options), TAGS, str(folder / "t.conll"))


def test_comment_lines_are_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    content = "# id 1\tdomain=train\nAnna _ B-PER\nsang _ O\n\n# id 2\tdomain=train\n# _ O\nBob _ B-PER\n"
    with pytest.raises(DataError) as error:
        conll(tmp_path, content)
    assert "the line has 2 columns, most lines have 3\n  where: t.conll line 1, 5\n" in str(error.value)
    assert "Columns(comments='#')" in str(error.value)
    assert [row.text for row in conll(tmp_path, content, comments="# id")] == [("Anna", "sang"), ("#", "Bob")]
    assert [row.text for row in conll(tmp_path, content, comments="#")] == [("Anna", "sang"), ("Bob",)]
    assert [row.text for row in conll(tmp_path, "#1 O\nfan O\n")] == [("#1", "fan")]
    words = "# text = du vin\n1-2\tdu\t_\t_\n1\tde\tO\t_\n2\tle\tO\t_\n2.1\tnul\tO\t_\n3\tvin\tB-X\t_\n"
    (row,) = conll(tmp_path, words, token=1, tag=2, comments="#")
    assert row.text == ("de", "le", "vin")


@pytest.mark.parametrize(
    ("tags", "bio"),
    [("O B I O", "OBIO"), ("O I I O", "OBIO"), ("S O B E", "BOBI"), ("B M E S", "BIIB"), ("B I L U", "BIIB")],
)
def test_tags_without_types_have_one_nameless_type(tmp_path: Path, tags: str, bio: str) -> None:
    (row,) = conll(tmp_path, "\n".join(f"w {tag}" for tag in tags.split()))
    assert row.label == tuple("O" if letter == "O" else f"{letter}-entity" for letter in bio)
    lines = "\n\n".join("\n".join(f"w {tag}" for tag in tags.split()) for _ in range(9))
    (tmp_path / "t.conll").write_text(lines)
    found = read_corpus(Columns(train=str(tmp_path / "t.conll")), TokenClassification(labels=("O", "B", "I")))
    assert found.labels == ("O", "B-entity", "I-entity")


def test_lines_say_their_labels_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("".join(f"__label__{label} text\n" for label in ["a", "b", "a,b"] * 4))
    with pytest.raises(DataError, match="write each label by itself"):
        read_corpus(LabelledLines(train=str(tmp_path / "t.txt")), SEVERAL)
