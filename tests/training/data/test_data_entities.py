"""The two entities of a relation, as SemEval, DeepKE, OpenNRE, TACRED and CoNLL-like files write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launcher import (
    Columns,
    DataError,
    RelationExtraction,
    SemEvalLines,
    Table,
    TextClassification,
    TokenClassification,
)
from launcher.recipe.data import held_by
from launcher.recipe.task import lacking
from launcher.training.data import Wanted, marks, read_corpus, read_rows, read_unlabelled
from launcher.training.data.examples import Row
from launcher.training.data.mismatch import refuse_mismatch
from launcher.training.data.spans import Span, inside_character
from launcher.training.data.splitting import labels_by_text

TASK, TAGS = RelationExtraction(), TokenClassification()
TEXT = "张平福出生于山西运城，福建人"
FAMILY = "👨\u200d👩\u200d👧"
"""One emoji of five characters."""


def read(folder: Path, rows: list[dict[str, Any]], **columns: Any) -> list[Row]:
    path = folder / "t.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return read_rows(Table(train=str(path), **columns), TASK, str(path))


def entities(row: Row) -> list[str]:
    return [str(row.text)[span.start : span.end] for span in row.spans]


SAID: dict[str, tuple[dict[str, Any], tuple[str, ...] | None]] = {
    "marks": ({"text": "<e1>张平福</e1>出生于<e2> 山西运城 </e2>，福建人".replace(" ", "")}, None),
    "marks in brackets": ({"text": "[E1]张平福[/E1]出生于[E2]山西运城[/E2]，福建人"}, None),
    "one column of places": ({"text": TEXT, "e": [[0, 3], [6, 10]]}, ("e",)),
    "one column of objects": ({"text": TEXT, "e": {"a": {"start": 0, "end": 3}, "b": {"start": 6, "end": 10}}}, ("e",)),
    "as OpenNRE": (
        {"text": TEXT, "h": {"name": "张平福", "pos": [0, 3]}, "t": {"name": "山西运城", "pos": [6, 10]}},
        ("h", "t"),
    ),
    "how they read": ({"text": TEXT, "h": "张平福", "t": "山西运城"}, ("h", "t")),
    "as DeepKE": ({"text": TEXT, "h": "张平福", "a": 0, "t": "山西运城", "b": 6}, ("a", "h", "b", "t")),
    "the other way round": ({"text": TEXT, "h": "张平福", "a": "0", "t": "山西运城", "b": "6"}, ("h", "a", "t", "b")),
    "four places": ({"text": TEXT, "a": 0, "b": 3, "c": 6, "d": 10}, ("a", "b", "c", "d")),
}


@pytest.mark.parametrize("name", SAID)
def test_entities_are_found_however_they_are_written(name: str, tmp_path: Path) -> None:
    row, columns = SAID[name]
    (got,) = read(tmp_path, [{**row, "label": "出生地"}], entities=columns)
    assert got.text == TEXT and entities(got) == ["张平福", "山西运城"] and got.label == "出生地"
    assert [span.kind for span in got.spans] == ["e1", "e2"]


def test_places_of_tokens_count_tokens_and_may_name_the_last_one(tmp_path: Path) -> None:
    tokens = ["He", "was", "born", "in", "New", "York", "."]
    names = ("subj_start", "subj_end", "obj_start", "obj_end")
    of_tacred = {"token": tokens, "relation": "birth", **dict(zip(names, (0, 0, 4, 5), strict=True))}
    settings = {"text": "token", "label": "relation", "entities": names}
    (row,) = read(tmp_path, [of_tacred], **settings)
    assert row.text == "He was born in New York ." and entities(row) == ["He", "New York"]
    behind = {**of_tacred, **dict(zip(names, (0, 1, 4, 6), strict=True))}
    (row,) = read(tmp_path, [behind], **settings)
    assert entities(row) == ["He", "New York"]
    (row,) = read(tmp_path, [{**of_tacred, "token": list("他生于纽约。"), "obj_start": 3, "obj_end": 4}], **settings)
    assert row.text == "他生于纽约。" and entities(row) == ["他", "纽约"]


def test_one_faulty_row_does_not_move_the_ends_of_all_others(tmp_path: Path) -> None:
    fine = {"text": "张三生于北京", "e": [[0, 2], [4, 6]], "label": "x"}
    inside = [{**fine, "e": [[0, 1], [4, 5]]}, {**fine, "e": [[0, 0], [4, 5]], "label": "y"}]
    assert [entities(row) for row in read(tmp_path, inside, entities="e")] == [["张三", "北京"], ["张", "北京"]]
    path = tmp_path / "t.jsonl"
    report = read_corpus(Table(train=str(path), test=str(path), validation=str(path), entities="e"), TASK).report
    assert sum("end with the last character or token" in note for note in report["warnings"]) == 3
    with pytest.raises(DataError) as caught:
        read(tmp_path, [fine, {**fine, "e": [[3, 3], [4, 6]]}], entities="e")
    assert [(p.what, p.where) for p in caught.value.problems] == [
        ("an entity from 3 to 3 ends where it begins, or before", "t.jsonl row 2")
    ]


def test_an_entity_elsewhere_is_found_again_and_counted(tmp_path: Path) -> None:
    rows = [
        {"text": TEXT, "h": "张平福", "a": 0, "t": "福", "b": 10, "label": "x"},
        {"text": TEXT, "h": "张平福", "a": 1, "t": "福", "b": 3, "label": "y"},
    ]
    got = read(tmp_path, rows, entities=("a", "h", "b", "t"))
    assert [row.spans[1].start for row in got] == [11, 2] and got[1].spans[0].start == 0
    path = tmp_path / "t.jsonl"
    data = Table(train=str(path), validation=str(path), test=str(path), entities=("a", "h", "b", "t"))
    assert [note for note in read_corpus(data, TASK).report["warnings"] if "found again" in note] == [
        f"{name}: 3 of the entities did not stand where their places say, and were found again by how they read "
        "(first in t.jsonl row 1)"
        for name in ("train", "validation", "test")
    ]


def test_the_second_of_two_that_read_alike_is_the_second(tmp_path: Path) -> None:
    (row,) = read(tmp_path, [{"text": "福 and 福", "h": "福", "t": "福", "label": "x"}], entities=("h", "t"))
    assert [(span.start, span.end) for span in row.spans] == [(0, 1), (6, 7)]


WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...] | None, str]] = {
    "no marks": ({"text": "a b"}, None, "<e1>, </e1>, <e2> and </e2> are missing in the text"),
    "one missing": ({"text": "<e1>a</e1> <e2>b"}, None, "</e2> is missing in the text"),
    "twice": ({"text": "<e1>a</e1> <e1>b</e1> <e2>c</e2>"}, None, "<e1> stands more than once in the text"),
    "backwards": ({"text": "</e1>a<e1> <e2>b</e2>"}, None, "</e1> stands before <e1>"),
    "crossing": ({"text": "<e1>a <e2>b</e1> c</e2>"}, None, "the two entities cross"),
    "empty": ({"text": "<e1> </e1>a <e2>b</e2>"}, None, "there is nothing between <e1> and </e1>"),
    "outside": ({"text": "ab", "e": [[0, 1], [1, 9]]}, ("e",), "an entity from 1 to 9 lies outside of the text of 2"),
    "token outside": ({"text": ["a", "b"], "e": [[0, 1], [1, 9]]}, ("e",), "lies outside of the text of 2 tokens"),
    "nothing": ({"text": "ab", "e": [[0, 0], [1, 2]]}, ("e",), "an entity from 0 to 0 ends where it begins"),
    "tokens backwards": (
        {"text": ["a", "b"], "e": [[1, 0], [0, 2]]},
        ("e",),
        "an entity from token 1 to 0 ends where it begins",
    ),
    "half an accent between marks": ({"text": "<e1>e</e1>\u0301a <e2>b</e2>"}, None, "</e1> stands between two halves"),
    "half an accent": ({"text": "e\u0301a b", "e": [[0, 1], [4, 5]]}, ("e",), "between two halves of one character"),
    "half a family": ({"text": f"{FAMILY} b", "e": [[0, 2], [6, 7]]}, ("e",), "between two halves of one character"),
    "half a surrogate": ({"text": "\ud83d b", "e": [[0, 1], [2, 3]]}, ("e",), "half of a surrogate pair"),
    "nowhere": ({"text": "a b", "h": "a", "t": "c"}, ("h", "t"), "the entity 'c' does not stand in the text"),
    "none": ({"text": "a b", "h": "a", "t": None}, ("h", "t"), "the row lacks an entity"),
    "no name": ({"text": "a b", "h": "a", "t": {"name": ""}}, ("h", "t"), "an entity needs the places"),
    "one of two": ({"text": "a b", "e": [[0, 1]]}, ("e",), "the row does not name two entities"),
    "the same": ({"text": "a b", "e": [[0, 1], [0, 1]]}, ("e",), "both entities are the same place"),
    "no relation": ({"text": "<e1>a</e1> <e2>b</e2>", "label": ""}, None, "the row has no label"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_entities_is_told_with_its_row(name: str, tmp_path: Path) -> None:
    row, columns, told = WRONG[name]
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"label": "x", **row}))
    with pytest.raises(DataError) as caught:
        read_rows(Table(train=str(path), entities=columns), TASK, str(path))
    (problem,) = caught.value.problems
    assert told in problem.what and problem.where == "t.jsonl row 1"


def test_all_problems_are_told_together(tmp_path: Path) -> None:
    rows = [{"text": text, "label": "x"} for text in ("a", "<e1>a</e1> <e2>b</e2>", "<e1>a</e1> <e2>b")]
    with pytest.raises(DataError) as caught:
        read(tmp_path, rows)
    assert [problem.where for problem in caught.value.problems] == ["t.jsonl row 1", "t.jsonl row 3"]
    task = RelationExtraction(labels=("x", "y"), none="Othr", class_weights={"z": 2.0})
    with pytest.raises(DataError) as caught:
        read_corpus(Table(train=str(tmp_path / "t.jsonl")), task)
    assert [problem.what[:22] for problem in caught.value.problems][2:] == [
        "task.class_weights nam",
        "task.none is 'Othr', w",
    ]
    wrong = [{"text": "a b", "label": "x", "a": "one", "h": "a", "b": 2, "t": "b"}]
    with pytest.raises(DataError, match="of 'a' and 'h' one must hold whole numbers"):
        read(tmp_path, wrong, entities=("a", "h", "b", "t"))
    places = [{"text": "a b", "label": "x", "a": 0, "h": end, "b": 2, "t": 3} for end in (1, 1, "one")]
    with pytest.raises(DataError) as caught:
        read(tmp_path, places, entities=("a", "h", "b", "t"))
    assert [problem.where for problem in caught.value.problems] == ["t.jsonl row 3"]


SEMEVAL = """1\t"The <e1>system</e1> of antenna <e2>elements</e2>."
Component-Whole(e2,e1)
Comment: Not a collection.

2\t"A "quoted" <e1>child</e1> in the <e2>cradle</e2>"
Other
"""


def test_lines_of_semeval(tmp_path: Path) -> None:
    path = tmp_path / "TRAIN.TXT"
    path.write_text(SEMEVAL.replace("\n", "\r\n"))
    data = SemEvalLines(train=str(path))
    one, two = read_rows(data, TASK, str(path))
    assert (one.text, one.label, one.where) == (
        "The system of antenna elements.",
        "Component-Whole(e2,e1)",
        "TRAIN.TXT line 1",
    )
    assert entities(one) == ["system", "elements"] and two.text == 'A "quoted" child in the cradle'
    path.write_text("".join(line for line in SEMEVAL.splitlines(keepends=True) if line.strip()) * 2)
    assert [row.where[-1] for row in read_rows(data, TASK, str(path))] == list("1469")
    path.write_text('1\t"a <e1>b</e1> <e2>c</e2>"\n\nThe <e1>b</e1>\nOther\n\n2\t"<e1>b</e1>"\nOther\n')
    with pytest.raises(DataError) as caught:
        read_rows(data, TASK, str(path))
    assert [(problem.what, problem.where) for problem in caught.value.problems] == [
        ("the sentence has no relation", "TRAIN.TXT line 1"),
        ("the line has no number before its sentence: 'The <e1>b</e1>'", "TRAIN.TXT line 3"),
        ("<e2> and </e2> are missing in the text", "TRAIN.TXT line 6"),
    ]


def test_columns_with_a_relation(tmp_path: Path) -> None:
    path = tmp_path / "t.conll"
    path.write_text(
        "In O birth\nRome B-E2 _\nHenry B-E1 birth\nVIII I-E1 _\nlived O _\n\n"
        "张 S-head 籍贯\n生 O 籍贯\n于 O 籍贯\n山 B-tail 籍贯\n西 E-tail 籍贯\n"
    )
    data = Columns(train=str(path), tag=1, relation=2)
    with pytest.raises(DataError, match="never ended by E-E2"):
        read_rows(data, TASK, str(path))
    path.write_text(path.read_text().replace("S-", "B-").replace("E-tail", "I-tail"))
    one, two = read_rows(data, TASK, str(path))
    assert (one.text, one.label, entities(one)) == ("In Rome Henry VIII lived", "birth", ["Henry VIII", "Rome"])
    assert (two.text, two.label, entities(two)) == ("张生于山西", "籍贯", ["张", "山西"])
    path.write_text("a B-E1 x\nb O x\n\na B-E1 x\nb B-E2 y\n\na B-E1 _\nb B-E2 _\n")
    with pytest.raises(DataError) as caught:
        read_rows(data, TASK, str(path))
    assert {(problem.what, problem.where) for problem in caught.value.problems} == {
        ("the tags mark 1 entity, not two", "t.conll line 1"),
        ("the lines of one sentence name several relations", "t.conll line 4"),
        ("the row has no label", "t.conll line 7"),
    }


def test_what_columns_hold_follows_from_their_relation() -> None:
    plain, related = Columns(train="a"), Columns(train="a", relation=2)
    assert lacking(TASK, held_by(plain)) == "label" and lacking(TASK, held_by(related)) is None
    assert lacking(TextClassification(), held_by(related)) is None
    for data, task, do in (
        (plain, TASK, "name the column of the relation"),
        (related, TAGS, "leave data.relation out"),
    ):
        with pytest.raises(DataError) as caught:
            refuse_mismatch(data, task)
        assert caught.value.problems[0].do.startswith(do)


def test_one_text_with_other_entities_is_another_row() -> None:
    rows = [
        Row("a b c", label, "", None, (Span(0, 1, "e1"), Span(start, start + 1, "e2")))
        for label, start in (("x", 2), ("y", 4), ("x", 2))
    ]
    assert list(labels_by_text(rows).values()) == [{"x"}, {"y"}]


def test_marks_go_in_and_out() -> None:
    for spans in ((Span(3, 5, "e1"), Span(6, 7, "e2")), (Span(0, 7, "e1"), Span(0, 2, "e2"))):
        marked = marks.natural("ab cd f", spans)
        assert marks.parsed(marked) == ("ab cd f", spans)
    text, places = marks.inserted("ab", (Span(0, 1, "e1"), Span(1, 2, "e2")), ((" @ ", " @ "), (" # ", " # ")))
    assert text == " @ a @  # b # " and [text[one + 1] + text[other + 1] for one, other in places] == ["@@", "##"]


def test_halves_of_a_character() -> None:
    flags = "🇨🇳🇫🇷"
    assert [inside_character(flags, place) for place in range(5)] == [False, True, False, True, False]
    assert inside_character("👍🏽", 1) and inside_character("น้ำ", 1) and not inside_character("ab", 1)


def test_a_table_to_predict_on_has_its_entities_in_columns_or_in_the_text(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    row = {"text": TEXT, "h": "张平福", "a": 0, "t": "山西运城", "b": 7, "id": 5}
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    data, wanted = Table(train="a", entities=("a", "h", "b", "t")), Wanted(False, of_entities=True)
    asked = read_unlabelled(path, data, wanted)
    assert asked.texts == ["<e1>张平福</e1>出生于<e2>山西运城</e2>，福建人"] and asked.rows == [row]
    marked = {"text": "<e1>a</e1> <e2>b</e2>"}
    path.write_text(json.dumps(marked))
    assert read_unlabelled(path, data, wanted).texts == [marked["text"]]
    path.write_text(json.dumps({**row, "t": "c"}))
    with pytest.raises(DataError, match="the entity 'c' does not stand in the text"):
        read_unlabelled(path, data, wanted)
