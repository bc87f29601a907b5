"""What `predict` is asked: files with the recipe's own columns, all that goes along, and what Python code gives."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from launcher import Columns, DataError, Table
from launcher.exported.given import texts_in
from launcher.training.data import Wanted, read_unlabelled

OWN = Table(train="a.csv", text="review", label="stars", text_pair=None)
ROWS = [{"id": "1", "review": "good, really", "stars": "5"}, {"id": "2", "review": "", "stars": "1"}]


def written(folder: Path, name: str) -> Path:
    """ROWS in the format that the name's ending says."""
    path = folder / name
    match path.suffix:
        case ".csv":
            path.write_text('id,review,stars\n1,"good, really",5\n2,,1\n')
        case ".tsv":
            path.write_text("id\treview\tstars\n1\tgood, really\t5\n2\t\t1\n")
        case ".json":
            path.write_text(json.dumps(ROWS))
        case ".parquet":
            pandas.DataFrame(ROWS).to_parquet(path)
        case _:
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.json", "a.jsonl", "a.ndjson", "a.parquet"])
@pytest.mark.parametrize("nameless", [False, True])
def test_the_recipes_own_column_is_found_and_all_others_go_along(name: str, nameless: bool, tmp_path: Path) -> None:
    path = written(tmp_path, name)
    if nameless:
        path = path.rename(tmp_path / "tmp1234")
    asked = read_unlabelled(path, OWN, Wanted(False), "standard input" if nameless else "")
    assert (asked.texts, asked.rows) == (["good, really", ""], ROWS)


def test_a_column_that_is_said_comes_first_and_the_usual_one_last(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,review,other\nt,r,o\n")
    assert read_unlabelled(path, OWN, Wanted(False)).texts == ["r"]
    assert read_unlabelled(path, OWN, Wanted(False, ("other", None))).texts == ["o"]
    path.write_text("text,other\nt,o\n")
    assert read_unlabelled(path, OWN, Wanted(False)).texts == ["t"]
    assert read_unlabelled(path, Columns(train="a.conll"), Wanted(False)).texts == ["t"]


def test_pairs_have_two_columns(tmp_path: Path) -> None:
    pairs = Table(train="a.csv", text="premise", text_pair="hypothesis")
    path = tmp_path / "a.jsonl"
    path.write_text('{"premise": "p", "hypothesis": "h", "x": [1, {"y": null}]}\n')
    asked = read_unlabelled(path, pairs, Wanted(True))
    assert (asked.texts, asked.rows) == ([("p", "h")], [{"premise": "p", "hypothesis": "h", "x": [1, {"y": None}]}])
    assert read_unlabelled(path, pairs, Wanted(True, ("hypothesis", "premise"))).texts == [("h", "p")]
    lines = tmp_path / "a.txt"
    lines.write_text("one\ttwo\n")
    assert read_unlabelled(lines, pairs, Wanted(True)).rows == [{"text": "one", "text_pair": "two"}]


def test_lists_of_tokens_are_joined_and_other_values_become_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pandas.DataFrame({"tokens": [["我", "们"]], "day": [datetime.date(2026, 1, 2)], "raw": [b"x"]}).to_parquet(path)
    asked = read_unlabelled(path, Table(train="a", text="tokens"), Wanted(False, joined_by=""))
    assert (asked.texts, asked.rows[0]["day"]) == (["我们"], "2026-01-02")
    json.dumps(asked.rows)


WRONG: list[tuple[str, str, Wanted, tuple[str, ...]]] = [
    ("a.csv", "id,body\n1,x\n", Wanted(False), ("no column 'review'", "'id', 'body'", "--text NAME")),
    ("a.csv", "id,reviews\n1,x\n", Wanted(False), ("did you mean 'reviews'? Say so: --text NAME",)),
    ("a.csv", "review\nx\n", Wanted(False, ("sentence", None)), ("no column 'sentence'", "'review'")),
    ("a.csv", "review\nx\n", Wanted(True), ("no column 'text_pair'", "--text-pair NAME")),
    ("a.csv", "", Wanted(False), ("the file is empty",)),
    ("a.csv", "review\n", Wanted(False), ("there are no rows in it",)),
    ("a.json", "[]", Wanted(False), ("no column 'review'; the columns are none",)),
    ("a.jsonl", '{"review": 3}\n', Wanted(False), ("the text is not a string", "row 1")),
    ("a.jsonl", '{"review": "a"}\n{"x": 1}\n', Wanted(False), ("the row has no text", "row 2")),
    ("a.jsonl", "[" * 100_000, Wanted(False), ("nested too deeply",)),
    ("a.parquet", "PAR1", Wanted(False), ("cannot be read",)),
    ("a.txt", "one\n", Wanted(False, ("review", None)), ("a file of plain lines has no columns",)),
    ("a.txt", "", Wanted(False), ("the file is empty",)),
]


@pytest.mark.parametrize(("name", "text", "wanted", "told"), WRONG)
def test_what_cannot_be_used_is_told_with_the_columns_there_are(
    name: str, text: str, wanted: Wanted, told: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        read_unlabelled(tmp_path / name, OWN, wanted)
    assert [part for part in told if part not in str(caught.value)] == []


def test_a_folder_and_a_missing_file_are_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.csv"):
        with pytest.raises(DataError):
            read_unlabelled(path, OWN, Wanted(False))


GIVEN: list[tuple[Any, bool, list[Any]]] = [
    ("一条评论", False, ["一条评论"]),
    (("a", "b"), False, ["a", "b"]),
    (("a", "b"), True, [("a", "b")]),
    ([["a", "b"], ("c", "d")], True, [("a", "b"), ("c", "d")]),
    (pandas.Series(["a", "b"], index=[5, 6]), False, ["a", "b"]),
    (pandas.DataFrame({"t": ["a"]})["t"].to_numpy(), False, ["a"]),
    ((text for text in "ab"), False, ["a", "b"]),
    ([], False, []),
    ([], True, []),
]


@pytest.mark.parametrize(("given", "pairs", "texts"), GIVEN)
def test_what_gives_strings_is_taken(given: Any, pairs: bool, texts: list[Any]) -> None:
    assert texts_in(given, pairs) == texts


REFUSED: list[tuple[Any, bool, str]] = [
    (b"abc", False, "(?s)bytes was given.*decode bytes first"),
    (None, False, "None was given"),
    (3, False, "a number was given"),
    ({"a": 1}, False, "a dict was given"),
    ({"a"}, False, "a set was given"),
    (["a", None, 3.5, float("nan"), 1], False, "None at index 1, a number at index 2, a missing value .* and 1 more"),
    ([b"x"], False, "bytes at index 0"),
    ([("a", "b")], False, "takes single texts; there is a tuple of 2"),
    ("one", True, "takes pairs of texts; there is a single text"),
    (["a", "b"], True, "takes pairs of texts"),
    ([("a", "b", "c")], True, "a tuple of 3 at index 0"),
    ([("a", None)], True, "a tuple of 2 at index 0"),
    (["a", "\ud800", "\udcff\udcfe"], False, "half of a surrogate pair, stand in text 2, 3"),
    ([("a", "\ud800")], True, "stand in text 1"),
    (pandas.DataFrame({"t": ["a"], "u": ["b"]}), False, "a whole table was given; its columns are 't', 'u'"),
]


@pytest.mark.parametrize(("given", "pairs", "told"), REFUSED)
def test_what_is_no_text_gets_a_sentence(given: Any, pairs: bool, told: str) -> None:
    with pytest.raises(DataError, match=told):
        texts_in(given, pairs)


def test_cells_are_parted_as_in_the_files_of_the_recipe(tmp_path: Path) -> None:
    own = Table(train="a", columns=("label", "text"), separator="_!_")
    for name in ("a.txt", "a.csv"):
        (tmp_path / name).write_text("good_!_one, two\nbad_!_three\n")
        asked = read_unlabelled(tmp_path / name, own, Wanted(False))
        assert asked.texts == ["one, two", "three"] and asked.rows[0] == {"label": "good", "text": "one, two"}
    (tmp_path / "plain.txt").write_text("one, two\n")
    assert read_unlabelled(tmp_path / "plain.txt", own, Wanted(False)).texts == ["one, two"]
