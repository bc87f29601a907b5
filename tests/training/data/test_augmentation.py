"""Changed copies of training rows: what each operation does, what stays as it is, and what is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from launcher import Augment, Full, RandomVectors, Recipe, Table, TextClassification, TokenClassification, Training
from launcher.cli.data_view import _remarks
from launcher.errors import DataError, RecipeError
from launcher.recipe.data import Columns
from launcher.training.data import Row, content_digest, read_corpus
from launcher.training.data.augmentation import augmented
from launcher.training.data.findings import Findings
from launcher.training.data.spans import Span
from launcher.training.data.synonyms import Synonyms, read_synonyms
from launcher.training.prepare import prepare

OFF: dict[str, Any] = {"deletion": 0.0, "swap": 0.0, "noise": 0.0}
ENGLISH = [
    Row("The plot is thin, but the Happy ending saves it all.", "good", "a.csv row 2"),
    Row("a  film\nwithout any sense of time at all", "bad", "a.csv row 3"),
    Row("nothing in here is worth the price of a ticket", "bad", "a.csv row 4"),
]
CHINESE = [
    Row("这家酒店的服务态度非常好,房间也很干净。", "good", "b.csv row 2"),
    Row("电池不耐用,屏幕也有点暗,不推荐购买。", "bad", "b.csv row 3"),
]
SYNONYMS: Synonyms = {"happy": ("glad", "cheerful"), "非常": ("十分",), "干净": ("整洁",), "购买": ("入手",)}


def copies_of(rows: list[Row], known: Synonyms | None = None, **fields: Any) -> list[Row]:
    return augmented(Augment(**{**OFF, **fields}), known or {}, rows, []).rows


def letters(row: Row) -> Counter[str]:
    return Counter("".join(row.characters.split()))


@pytest.mark.parametrize("rows", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_each_operation_does_what_it_says(rows: list[Row]) -> None:
    sources = {row.where: row for row in rows}

    def pairs(**fields: Any) -> list[tuple[Row, Row]]:
        made = copies_of(rows, copies=3, **fields)
        assert len(made) == 3 * len(rows) and all(copy.characters not in {r.characters for r in rows} for copy in made)
        return [(sources[copy.where.partition(",")[0]], copy) for copy in made]

    for row, copy in pairs(deletion=0.2):
        assert letters(copy) < letters(row) and copy.label == row.label
    for row, copy in pairs(swap=0.2):
        assert letters(copy) == letters(row) and copy.text != row.text
    for row, copy in pairs(noise=0.05):
        changed = (letters(copy) - letters(row)) + (letters(row) - letters(copy))
        assert sum(changed.values()) <= max(1, round(0.05 * letters(row).total()))


def test_white_space_stays_and_punctuation_goes_with_its_word() -> None:
    (swapped,) = copies_of([ENGLISH[1]], copies=1, swap=0.9)
    assert "  " in swapped.text and "\n" in swapped.text
    assert Counter(swapped.text.split()) == Counter(str(ENGLISH[1].text).split())


def test_synonyms_keep_punctuation_and_capitals_and_are_found_as_jieba_words() -> None:
    row = Row("It was Happy, he said.", "good", "a.csv row 1")
    made = {str(copy.text) for copy in copies_of([row], SYNONYMS, copies=8, synonyms="s.txt")}
    assert made == {"It was Glad, he said.", "It was Cheerful, he said."}
    for tokens in (None, "characters"):
        (copy,) = copies_of(CHINESE[:1], SYNONYMS, copies=1, synonyms="s.txt", replacement=0.9, tokens=tokens)
        assert copy.text == "这家酒店的服务态度十分好,房间也很整洁。"
    nothing_known = augmented(Augment(copies=2, **OFF, synonyms="s.txt"), {"x": ("y",)}, ENGLISH, [])
    assert (nothing_known.rows, nothing_known.left_out) == ([], 6)


TAGGED = [
    Row(
        tuple("浙商银行的叶老桂认为房地产市场比较好"),
        ("B-ORG", *["I-ORG"] * 3, "O", "B-PER", "I-PER", "I-PER", *["O"] * 10),
        "c.conll line 1",
    ),
    Row(("EU", "rejects", "the", "German", "call", "again"), ("B-ORG", "O", "O", "B-MISC", "O", "O"), "c.conll line 9"),
]


@pytest.mark.parametrize("row", TAGGED, ids=["characters", "words"])
def test_entities_stay_whole_and_tags_stay_with_their_tokens(row: Row) -> None:
    synonyms = {"认为": ("觉得",), "rejects": ("turns down",), "call": ("demand",)}
    fields = {"deletion": 0.3, "swap": 0.5, "noise": 0.2, "synonyms": "s.txt", "replacement": 0.3}
    made = copies_of([row], synonyms, copies=8, **fields)
    assert len(made) == 8 and {copy.where.rpartition("(")[2] for copy in made} == {
        "deletion)",
        "swap)",
        "noise)",
        "synonyms)",
    }

    def entities(one: Row) -> list[tuple[str, str]]:
        return [(token, tag) for token, tag in zip(one.text, one.label, strict=True) if tag != "O"]

    for copy in made:
        assert entities(copy) == entities(row)
        assert all(token for token in copy.text)
        if len(row.text) > 6:
            assert {len(token) for token in copy.text} == {1}
    joined = {" ".join(copy.text) for copy in made if "synonyms" in copy.where}
    assert any("觉 得" in text or "turns down" in text or "demand" in text for text in joined)


def test_of_a_pair_each_text_is_changed_by_itself() -> None:
    row = Row("one two three four", "same", "p.csv row 1", pair="five six seven eight")
    for copy in copies_of([row], copies=4, deletion=0.5):
        assert set(str(copy.text).split()) < {"one", "two", "three", "four"}
        assert set(str(copy.pair).split()) < {"five", "six", "seven", "eight"}


@pytest.mark.parametrize(
    ("text", "marked"),
    [("The  old plant in Port-au-Prince supplies  New York , they say", ("Port-au-Prince", "New York")),
     ("浙商银行的叶老桂认为房地产市场比较好", ("浙商银行", "叶老桂"))],
)  # fmt: skip
def test_marked_places_stay_whole_and_move_along(text: str, marked: tuple[str, ...]) -> None:
    spans = tuple(Span(text.index(one), text.index(one) + len(one), f"e{n}") for n, one in enumerate(marked))
    inner = Span(spans[0].start + 1, spans[0].start + 2, "inner")  # one within another
    row = Row(text, "supplies", "r row 1", spans=(*spans, inner))
    fields = {"deletion": 0.3, "swap": 0.5, "noise": 0.1, "synonyms": "s.txt", "replacement": 0.3}
    made = copies_of([row], {"supplies": ("feeds",), "认为": ("觉得",)}, copies=12, **fields)
    assert len(made) == 12 and len({copy.where.rpartition("(")[2] for copy in made}) == 4
    for copy in made:
        assert tuple(str(copy.text)[one.start : one.end] for one in copy.spans[:2]) == marked
        assert copy.spans[2].start == copy.spans[0].start + 1 and copy.spans[2].kind == "inner"
    assert len({copy.spans for copy in made}) >= 3


def test_a_copy_depends_on_seed_row_and_copy_alone() -> None:
    one = augmented(Augment(copies=4), {}, ENGLISH, []).rows
    assert one == augmented(Augment(copies=4), {}, ENGLISH, []).rows
    fewer = augmented(Augment(copies=2), {}, ENGLISH, []).rows
    assert [row for row in one if "copy 1" in row.where or "copy 2" in row.where] == fewer
    assert augmented(Augment(copies=4), {}, ENGLISH[:1], []).rows == one[:4]
    assert augmented(Augment(copies=4, seed=1), {}, ENGLISH, []).rows != one
    # another process hashes strings in another way
    program = "from test_augmentation import *; print([r.text for r in augmented(Augment(), {}, ENGLISH, []).rows])"
    environment = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[3]}", "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == repr([row.text for row in one])


def test_no_copy_repeats_a_text_or_comes_from_a_row_that_another_split_has() -> None:
    # one word of two may go: "a" or "b", of which another split has the one and train the other
    train = [Row("a b", "x", "t row 1"), Row("b", "y", "t row 2"), Row("held out", "x", "t row 3")]
    made = augmented(Augment(copies=4, **{**OFF, "deletion": 0.5}), {}, train, [train[2], Row("a", "x", "v row 1")])
    assert (made.rows, made.left_out, made.not_copied) == ([], 8, 1)


def table(tmp_path: Path, how: Augment | None, rows: int = 60) -> Table:
    path = tmp_path / "t.csv"
    if not path.exists():
        texts = [f"{'good' if n % 2 else 'bad'} words number {n} stand here in line" for n in range(rows)]
        lines = [f"{text},{text.split()[0]}" for text in texts]
        path.write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return Table(train=str(path), augment=how)


def test_only_train_grows_once_all_splits_are_cut(tmp_path: Path) -> None:
    plain, more = (read_corpus(table(tmp_path, how), TextClassification()) for how in (None, Augment(copies=2)))
    assert more.splits["validation"] == plain.splits["validation"] and more.splits["test"] == plain.splits["test"]
    count = len(plain.splits["train"])
    assert more.splits["train"][:count] == plain.splits["train"] and more.copies == 2 * count
    held_out = {row.where for name in ("validation", "test") for row in more.splits[name]}
    sources = {row.where.partition(",")[0] for row in more.splits["train"][count:]}
    assert not held_out & sources and len(sources) == count
    assert more.report["splits"]["train"]["rows"] == 3 * count
    assert more.report["duplicates"] == plain.report["duplicates"] and "augmented" not in plain.report
    told = more.report["augmented"]
    assert told["added"] == sum(told["by_operation"].values()) == 2 * count and len(told["shown"]) == 3
    assert set(told["by_operation"]) == {"deletion", "swap"}
    view = {"shared": {}, "dropped": {}, "tags": {}, "source": {}, "warnings": [], "augmented": told}
    lines = _remarks(view)
    deletion, swap = told["by_operation"].values()
    assert f"changed copies added to train: {2 * count:,} ({deletion} by deletion, {swap} by swap)" in lines
    assert any(line.startswith("  t.csv row ") and ", copy 1 (" in line for line in lines)


def test_the_prepared_rows_have_the_copies_and_the_digest_the_synonyms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    synonyms = tmp_path / "s.txt"
    synonyms.write_text("good fine\nwords terms\n", encoding="utf-8")
    how = Augment(copies=1, **OFF, synonyms=str(synonyms), replacement=0.5)
    data = table(tmp_path, how)
    recipe = Recipe(
        task=TextClassification(), data=data, embedding=RandomVectors(), peft=Full(), training=Training(epochs=1)
    )
    facts = prepare(recipe)
    assert facts["rows"] == {"train": 98, "validation": 5, "test": 6}
    assert facts["report"]["augmented"]["added"] == 49
    before = content_digest(data)
    synonyms.write_text("good fine\nwords text\n", encoding="utf-8")
    assert content_digest(data) != before != content_digest(table(tmp_path, None))
    assert not prepare(recipe)["cached"]


def test_columns_are_copied_too(tmp_path: Path) -> None:
    path = tmp_path / "c.conll"
    sentences = [f"Rome B-LOC\nis O\nnumber{n} O\nhere O\n" for n in range(10)]
    path.write_text("\n".join(sentences), encoding="utf-8")
    corpus = read_corpus(Columns(train=str(path), augment=Augment(copies=1)), TokenClassification())
    assert corpus.copies == 8 == corpus.report["augmented"]["added"]
    assert all(row.text[row.label.index("B-LOC")] == "Rome" for row in corpus.splits["train"])


def read(tmp_path: Path, text: str) -> tuple[Synonyms, Findings]:
    path, findings = tmp_path / "s.txt", Findings()
    path.write_text(text, encoding="utf-8")
    return read_synonyms(str(path), findings), findings


def test_synonyms_are_read_as_they_are_written(tmp_path: Path) -> None:
    synonyms, findings = read(tmp_path, "Happy, very glad\n\n高兴 开心\nAa01A01= 人 人物\nAa01A02# 甲 乙\nbig\tlarge\n")
    assert not len(findings)
    assert synonyms == {
        **{"happy": ("very glad",), "very glad": ("Happy",), "高兴": ("开心",), "开心": ("高兴",)},
        **{"人": ("人物",), "人物": ("人",), "big": ("large",), "large": ("big",)},
    }


def test_what_is_wrong_with_synonyms_is_told_with_all_else(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("happy\nglad, Glad\nbig large\n", encoding="utf-8")
    missing = Augment(synonyms=str(tmp_path / "synonym.txt"))
    for how, expected in (
        (Augment(synonyms=str(path)), ["the line has one word, and no synonym of it", "s.txt line 1, 2"]),
        (missing, ["there is no file", "synonym.txt", "s.txt"]),
    ):
        data = Table(train=str(tmp_path / "nowhere.csv"), augment=how)
        with pytest.raises(DataError) as refused:
            read_corpus(data, TextClassification())
        message = str(refused.value)
        assert all(part in message for part in [*expected, "nowhere.csv"]), message
        with pytest.raises(DataError):
            content_digest(data)
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="there is no synonym in it"):
        read_corpus(table(tmp_path, Augment(synonyms=str(path))), TextClassification())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"copies": 0}, "Augment.copies: input should be greater than or equal to 1 (got 0)"),
        ({"deletion": 1.0}, "Augment.deletion: input should be less than 1 (got 1.0)"),
        ({"alpha_rs": 0.1}, "Augment.alpha_rs: there is no such field\n  do:    did you mean 'swap'?"),
    ],
)
def test_wrong_values_are_told(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as refused:
        Augment(**fields)
    assert message in str(refused.value)


def test_it_is_set_from_the_command_line(tmp_path: Path) -> None:
    from launcher.recipe.recipe import digest, resolve

    data = table(tmp_path, None)
    recipe = Recipe(
        task=TextClassification(), data=data, embedding=RandomVectors(), peft=Full(), training=Training(epochs=1)
    )
    given = resolve(recipe, Path("x.py"), "", {"data.augment": json.dumps({"kind": "Augment", "copies": 2})}).recipe
    assert given.data.augment == Augment(copies=2) and digest(given) != digest(recipe)
