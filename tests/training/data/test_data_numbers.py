"""Rows whose answer is a number: what is one, what is refused, and what is told of them instead of labels."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from at_work import split_of, work_of
from rich.console import Console

from launcher.cli import data_view as shown_data
from launcher.errors import DataError
from launcher.json_files import write_json
from launcher.recipe import recipe_rules
from launcher.recipe.beside import NgramBag
from launcher.recipe.data import Columns, Data, LabelledFiles, LabelledLines, Table
from launcher.recipe.declared import Head
from launcher.recipe.fields import Field
from launcher.recipe.source import RandomVectors
from launcher.recipe.task import TextClassification
from launcher.training.batches import split_file
from launcher.training.data import Corpus, read_corpus, read_rows
from launcher.training.data.checks import label_counts
from launcher.training.data.numbers import number_of
from launcher.training.report import data_view, gallery
from launcher.training.sources import build_tokenizer, load_tokenizer


@dataclass(frozen=True)
class Similarity:
    """A toy: how alike two texts are."""

    head: ClassVar[Head] = "sequence"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("text", "text"),
        Field("text_pair", "text", optional=True),
        Field("label", "number"),
    )
    metrics: ClassVar[Mapping[str, Any]] = {"spearman": "max"}
    kind: str = "Similarity"


TASK = cast(Any, Similarity())
HEADER = "text,other,label\n"


def saved(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def corpus_of(folder: Path, rows: list[tuple[str, str]], **fields: Any) -> Corpus:
    train = saved(folder, "s.csv", HEADER + "".join(f"{text},and,{number}\n" for text, number in rows))
    return read_corpus(Table(train=train, text_pair="other", **fields), TASK)


def numbers_in(place: str) -> list[Any]:
    return [row.label for row in read_rows(Table(train="x"), TASK, place)]


def test_a_cell_is_kept_as_it_is_written(tmp_path: Path) -> None:
    cells = ["0.5", "3", "1e-3", "-2.", "+.5", " 4 ", "007"]
    lines = "text,label\n" + "".join(f"t{n},{cell}\n" for n, cell in enumerate(cells))
    assert numbers_in(saved(tmp_path, "a.csv", lines)) == ["0.5", "3", "1e-3", "-2.", "+.5", "4", "007"]
    rows = [{"text": f"t{n}", "label": value} for n, value in enumerate([0.5, 3, 1e-3, "2.5"])]
    assert numbers_in(saved(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))) == ["0.5", "3", "0.001", "2.5"]
    table = pyarrow.table({"text": ["a", "b"], "label": [0.25, -1.0]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert numbers_in(str(tmp_path / "a.parquet")) == ["0.25", "-1.0"]
    (row,) = read_rows(Table(train="x", text_pair="other"), TASK, saved(tmp_path, "p.csv", HEADER + "one,two,3\n"))
    assert (row.text, row.pair, row.label) == ("one", "two", "3")


@pytest.mark.parametrize(
    ("cell", "what", "do"),
    [
        ('"3,5"', "'3,5' is not a number", "write decimals after a point, as 3.5, and nothing between thousands"),
        ('"1,000.5"', "'1,000.5' is not a number", "nothing between thousands"),
        ("nan", "'nan' is not a finite number", "write one number alone, as 0.5, 3 or 1e-3"),
        ("-Infinity", "'-Infinity' is not a finite number", "write one number alone"),
        ("three", "'three' is not a number", "write one number alone"),
        ("5 of 7", "'5 of 7' is not a number", "write one number alone"),
        ("1_000", "'1_000' is not a number", "write one number alone"),
        ("３", "'３' is not a number", "write one number alone"),
        ("1e39", "1e39 is larger than training can compute with (3.4e+38)", "give the column another scale"),
        ("", "the row has no number", "give the row a number or take it out"),
        ("  ", "the row has no number", "give the row a number or take it out"),
    ],
)
def test_what_is_no_number_is_refused(tmp_path: Path, cell: str, what: str, do: str) -> None:
    with pytest.raises(DataError) as refused:
        numbers_in(saved(tmp_path, "a.csv", f"text,label\none,1\ntwo,{cell}\n"))
    (problem,) = refused.value.problems
    assert (problem.what, problem.where) == (what, "a.csv row 3") and do in problem.do


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("NaN", "nan is not a finite number"),
        ("-Infinity", "-inf is not a finite number"),
        ("null", "the row has no number"),
        ("true", "the answer is true or false, not a number"),
        ("[1]", "the answer is a list, not a number"),
        ("1" + "0" * 400, "1.00e+400 is larger than training can compute with (3.4e+38)"),
    ],
)
def test_so_it_is_in_json(tmp_path: Path, value: str, what: str) -> None:
    with pytest.raises(DataError) as refused:
        numbers_in(saved(tmp_path, "a.jsonl", f'{{"text": "one", "label": {value}}}\n'))
    assert [problem.what for problem in refused.value.problems] == [what]


def test_all_rows_problems_come_together(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        corpus_of(tmp_path, [("a", "1"), ("b", "x"), ("c", ""), ("d", "nan"), ("e", "x")])
    assert [(problem.what, problem.where) for problem in refused.value.problems] == [
        ("'x' is not a number", "s.csv row 3, 6"),
        ("the row has no number", "s.csv row 4"),
        ("'nan' is not a finite number", "s.csv row 5"),
    ]


def test_the_report_has_their_spread_and_asks_nothing_of_labels(tmp_path: Path) -> None:
    numbers = [("a", "1"), ("b", "1.0"), ("c", "4"), ("a", "2"), *((f"t{n}", f"{n}.5") for n in range(60))]
    corpus = corpus_of(tmp_path, numbers, validation_size=1, test_size=1)
    assert corpus.labels == ("label",)
    every = [float(str(row.label)) for rows in corpus.splits.values() for row in rows]
    assert sorted(every) == sorted(float(number) for _, number in numbers), "nothing is renamed"
    train = corpus.report["splits"]["train"]
    mine = [float(str(row.label)) for row in corpus.splits["train"]]
    assert train["numbers"] == {"least": min(mine), "mean": pytest.approx(sum(mine) / 62), "most": max(mine)}
    assert "labels" not in train
    assert corpus.report["warnings"] == [] and sum(corpus.report["duplicates"]["conflicting"].values()) == 0
    assert label_counts(corpus.labels, corpus.report) == {}


def test_one_number_everywhere_teaches_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train holds one number only: 3"):
        corpus_of(tmp_path, [(f"t{n}", "3" if n % 2 else "3.0") for n in range(21)])


def test_a_text_keeps_its_different_numbers(tmp_path: Path) -> None:
    rows = [("a", "1"), ("a", "1.0"), ("a", "2"), *((f"t{n}", "3") for n in range(20))]
    corpus = corpus_of(tmp_path, rows, duplicates="drop")
    kept = [row for rows in corpus.splits.values() for row in rows]
    assert sorted(str(row.label) for row in kept if row.text == "a") == ["1", "2"]
    assert corpus.report["duplicates"]["dropped"] == {"repeated": 1, "conflicting": 0, "in_a_given_split": 0}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (LabelledLines(train="x"), "LabelledLines holds labels, not numbers"),
        (LabelledFiles(train={"a": "x"}), "LabelledFiles holds labels, not numbers"),
        (Columns(train="x"), "Columns holds tagged sentences, not labelled texts"),
    ],
)
def test_only_a_table_holds_numbers(data: Data, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_rows(data, TASK, "x")


@pytest.mark.parametrize(
    ("rule", "data", "embedding", "told"),
    [
        (
            "_task_and_data",
            LabelledFiles(train={"a": "x"}),
            {},
            ("LabelledFiles holds one label a text; Similarity needs a number a text", "TextClassification, or Table"),
        ),
        (
            "_task_and_data",
            Columns(train="x"),
            {},
            ("Columns holds one tag a token; Similarity needs a number a text", "TokenClassification, or Table"),
        ),
        (
            "_ngrams",
            Table(train="x"),
            {"beside": (NgramBag(),)},
            ("a bag of n-grams votes for a label; Similarity has a number", "leave NgramBag out of embedding.beside"),
        ),
        ("_task_and_data", Table(train="x"), {}, None),
        ("_pairs", Table(train="x", text_pair="other"), {}, None),
    ],
)
def test_the_rules_know_it_by_what_it_declares(
    rule: str, data: Data, embedding: dict[str, Any], told: tuple[str, str] | None
) -> None:
    recipe = SimpleNamespace(task=TASK, data=data, embedding=RandomVectors(**embedding))
    found = list(getattr(recipe_rules, rule)(SimpleNamespace(recipe=recipe, where=str)))
    assert [problem.what for problem in found] == ([told[0]] if told else [])
    assert all(told and told[1] in problem.do for problem in found)


def test_a_number_is_no_bare_float() -> None:
    assert number_of(np.float64(0.5)) == "0.5" and number_of("0x10") is None and number_of(b"1") is None


def split_told(low: float) -> dict[str, Any]:
    lengths = data_view.length_facts(np.array([1, 2]), 2)
    seen = {"coverage": 1.0, "unknown": 0, "used": 1, "size": 2}
    told = {"rows": 2, "empty_rows": 0, "repeated": 0, "conflicting": 0, "tokens": lengths, "truncated": 0, "lost": {}}
    return {**told, "vocabulary": seen, "encoding": {}, "numbers": {"least": low, "mean": 2.5, "most": 5.0}}


def test_the_command_shows_least_mean_and_most(tmp_path: Path) -> None:
    screen = io.StringIO()
    told = {"splits": {"train": split_told(0.0), "test": split_told(0.0)}, "tags": {}, "max_length": 5}
    shown_data._print_splits(Console(file=screen, width=80), told)
    lines = [line.split() for line in screen.getvalue().splitlines() if line.startswith("numbers")]
    assert lines == [
        ["numbers,", "least", "0", "0"],
        ["numbers,", "mean", "2.5", "2.5"],
        ["numbers,", "most", "5", "5"],
    ]
    drawn = data_view._draw({"balance": {}, "examples": {}, "max_length": 5}, {"train": np.array([1, 2])}, tmp_path)
    assert drawn == [str(tmp_path / "lengths.png")]


def test_a_run_of_numbers_draws_no_labels(tmp_path: Path) -> None:
    build_tokenizer(RandomVectors(tokens="words"), TextClassification(), ["good day", "bad"], tmp_path)
    split_file.write([split_of([[2, 3], [4]], labels=np.array([1, 0]))], tmp_path / "train.safetensors")
    duplicates = {"repeated": {"train": 0}, "conflicting": {"train": 0}, "shared": {}}
    report = {"answer": "number", "splits": {"train": split_told(0.5)}, "duplicates": duplicates, "warnings": []}
    facts = {"labels": ["label"], "rows": {"train": 2}, "max_length": 9, "truncated": {"train": 0}, "report": report}
    write_json(tmp_path / "facts.json", facts)
    texts: list[str] = []
    figures: list[str] = []
    board = SimpleNamespace(
        say=print,
        text=lambda name, draw: texts.append(draw()),
        figure=lambda name, draw, step: figures.append(name),
    )
    work = work_of(TextClassification(), ["0.5", "2"], load_tokenizer(tmp_path))
    gallery.show_data(cast(Any, board), tmp_path, work)
    assert figures == ["data/lengths"] and "    2: " in texts[0] and "    0.5: " in texts[0]
