"""Texts with entities marked by their places, as CLUENER, doccano, Label Studio and `predict` write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import DataError
from launcher.recipe.data import Table
from launcher.recipe.task import TokenClassification
from launcher.training.data import read_corpus, read_rows

TAGS = TokenClassification()


def saved(folder: Path, rows: list[tuple[str, Any]]) -> str:
    path = folder / "t.jsonl"
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


TEXT = "浙商银行的叶老桂博士"
WANTED = [("浙商银行", "company"), ("叶老桂", "name")]
MARKED = {
    "CLUENER": {"label": {"company": {"浙商银行": [[0, 3]]}, "name": {"叶老桂": [[5, 7]]}}},
    "doccano": {"label": [[0, 4, "company"], [5, 8, "name"]]},
    "doccano with objects": {
        "label": [
            {"id": 1, "label": "company", "start_offset": 0, "end_offset": 4},
            {"id": 2, "label": "name", "start_offset": 5, "end_offset": 8},
        ]
    },
    "CMeEE": {
        "label": [
            {"start_idx": 0, "end_idx": 3, "type": "company", "entity": "浙商银行"},
            {"start_idx": 5, "end_idx": 7, "type": "name", "entity": "叶老桂"},
        ]
    },
    "predict": {
        "label": [
            {"entity": "company", "text": "浙商银行", "start": 0, "end": 4, "probability": 0.5},
            {"entity": "name", "text": "叶老桂", "start": 5, "end": 8, "probability": 0.5},
        ]
    },
    "Label Studio, short": {
        "label": [
            {"start": 0, "end": 4, "text": "浙商银行", "labels": ["company"]},
            {"start": 5, "end": 8, "text": "叶老桂", "labels": ["name"]},
        ]
    },
    "Label Studio": {
        "annotations": [
            {"was_cancelled": True, "result": []},
            {
                "result": [
                    {"type": "labels", "value": {"start": 0, "end": 4, "text": "浙商银行", "labels": ["company"]}},
                    {"type": "labels", "value": {"start": 5, "end": 8, "labels": ["name"]}},
                    {"type": "relation", "from_id": "a", "to_id": "b"},
                ]
            },
        ]
    },
}


@pytest.mark.parametrize("form", MARKED)
@pytest.mark.parametrize("whole", [True, False])
def test_entities_marked_by_their_places_become_tags(tmp_path: Path, form: str, whole: bool) -> None:
    one = {"data": {"text": TEXT}, **MARKED[form]} if form == "Label Studio" else {"text": TEXT, **MARKED[form]}
    path = tmp_path / ("t.json" if whole else "t.jsonl")
    path.write_text(json.dumps([one, one]) if whole else f"{json.dumps(one)}\n{json.dumps(one)}\n", encoding="utf-8")
    row, _ = read_rows(Table(train="x"), TAGS, str(path))
    assert row.text == tuple(TEXT)
    entities: list[tuple[str, str]] = []
    for character, tag in zip(row.text, row.label, strict=True):
        if tag.startswith("B-"):
            entities.append(("", tag[2:]))
        if tag != "O":
            entities[-1] = (entities[-1][0] + character, entities[-1][1])
    assert entities == WANTED


def test_marked_places_in_english_and_what_cannot_be_tags(tmp_path: Path) -> None:
    text = "Anna saw New York-based Bob."
    marks = [[0, 4, "PER"], [9, 17, "LOC"], [9, 12, "PART"], [24, 28, "PER"]]
    rows = [(text, marks)] + [("Anna sang, and left", [[0, 4, "PER"]])] * 20 + [("nobody", [])]
    found = read_corpus(Table(train=saved(tmp_path, rows), validation_size=2, test_size=2), TAGS)
    first = next(row for rows in found.splits.values() for row in rows if row.text[1] == "saw")
    assert first.text == ("Anna", "saw", "New", "York", "-based", "Bob", ".")
    assert first.label == ("B-PER", "O", "B-LOC", "I-LOC", "O", "B-PER", "I-PER")
    notes = " ".join(found.report["warnings"])
    assert "1 entities overlap a longer one" in notes and "1 entities begin or end inside a token" in notes

    place = saved(tmp_path, [(TEXT, MARKED["doccano"]["label"])] * 9)
    with pytest.raises(DataError, match=r'18 of 18 entities .*\n.*\n.*tokens="characters"'):
        read_rows(Table(train="x"), TokenClassification(tokens="words"), place)
    bad = [("a b", [[0, 9, "X"]]), ("a b", [[2, 2, "X"]]), ("a b", [[0, 1]]), ("a b", {"X": {"z": [[0, 0]]}})]
    with pytest.raises(DataError) as error:
        read_rows(Table(train="x"), TAGS, saved(tmp_path, bad * 3000))
    assert len(error.value.problems) == 4
    assert "t.jsonl row 1, 5, 9, 13, 17 and 2,995 more" in str(error.value)
