"""Tables: CSV, TSV, JSON in its three shapes, Parquet, saved data sets, the hub; each broken row is named."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import DataError
from launcher.recipe.data import Columns, LabelledFiles, Table
from launcher.recipe.task import TextClassification, TokenClassification
from launcher.training.data import Row, read_rows, read_texts

TEXTS = TextClassification()
TAGS = TokenClassification()


def table(tmp_path: Path, name: str, content: str, **columns: str) -> list[Row]:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    return read_rows(Table(train=str(path), **columns), TEXTS, str(path))


def refusal(tmp_path: Path, name: str, content: str, **columns: str) -> str:
    with pytest.raises(DataError) as refused:
        table(tmp_path, name, content, **columns)
    return str(refused.value)


def rows_named(message: str, name: str) -> set[int]:
    lines = re.findall(rf"where: {re.escape(name)} row ([\d, ]+)$", message, re.MULTILINE)
    return {int(number) for line in lines for number in line.split(", ")}


def test_csv_with_cells_of_several_lines_counts_physical_lines(tmp_path: Path) -> None:
    rows = table(tmp_path, "r.csv", 'label,text\r\na,"one, ""two""\r\nthree"\r\n\r\nb,null\r\nb,NA\r\n')
    assert rows == [
        Row('one, "two"\nthree', "a", "r.csv row 2"),
        Row("null", "b", "r.csv row 5"),
        Row("NA", "b", "r.csv row 6"),
    ]


def test_thousands_in_row_numbers_and_wide_cells(tmp_path: Path) -> None:
    rows = table(tmp_path, "r.csv", "text,label\n" + "t,a\n" * 1202 + "x" * 200_000 + ",b\n")
    assert rows[-1].where == "r.csv row 1,204"
    assert len(rows[-1].text) == 200_000


def test_a_wrong_column_names_the_columns_there_are(tmp_path: Path) -> None:
    message = refusal(tmp_path, "r.csv", "sentence,label\na,b\n", text="sentense")
    assert "no column 'sentense'; the columns are 'sentence', 'label'" in message
    assert "did you mean 'sentence'?" in message
    assert "parted by ';'" in refusal(tmp_path, "r.csv", "text;label\na;b\n")
    assert "2 columns are called 'text'" in refusal(tmp_path, "r.csv", "text,text,label\na,b,c\n")


def test_all_broken_rows_of_a_csv_are_named_together(tmp_path: Path) -> None:
    message = refusal(tmp_path, "r.csv", 'text,label\na,b,c\nd\ne,\n"f"g,h\nok,x\n')
    for shown in (
        "the row has 3 cells, the header has 2\n  where: r.csv row 2",
        "the row has 1 cells, the header has 2\n  where: r.csv row 3",
        "the row has no label\n  where: r.csv row 4",
        "not valid CSV",
        "r.csv row 5",
    ):
        assert shown in message


def test_an_open_quote_in_a_csv_is_named_where_it_opens(tmp_path: Path) -> None:
    message = refusal(tmp_path, "r.csv", 'text,label\na,b\n"open,b\n' + "c,d\n" * 50)
    assert "r.csv row 3" in message
    assert "row 4" not in message


def test_twenty_problems_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        table(tmp_path, "r.csv", "text,label\n" + "".join(f't,"x\x01{number}"\n' for number in range(57)) + "a,b,c\n")
    problems = [problem.what for problem in refused.value.problems]
    assert len(problems) == 21
    assert "the row has 3 cells, the header has 2" in problems
    assert "and 38 more of this kind" in problems


def test_a_lone_quote_in_a_tsv_swallows_nothing(tmp_path: Path) -> None:
    content = 'text\tlabel\n"断轴门"和机油\ta\nsay "hi\tb\n" opens\ta\nends "\tb\n'
    assert [row.text for row in table(tmp_path, "r.tsv", content)] == [
        '"断轴门"和机油',
        'say "hi',
        '" opens',
        'ends "',
    ]
    across = 'text\tlabel\n"opens\ta\nplain\tb\ncloses"\ta\n'
    assert [row.text for row in table(tmp_path, "r.tsv", across)] == ['"opens', "plain", 'closes"']


def test_a_quoted_tsv_is_unquoted(tmp_path: Path) -> None:
    assert table(tmp_path, "r.tsv", 'text\tlabel\n"say ""hi"""\ta\nplain\tb\n')[0].text == 'say "hi"'
    lines = table(tmp_path, "r.tsv", 'text\tlabel\n"one\ntwo"\ta\n"x\ty"\tb\n')
    assert [(row.text, row.where) for row in lines] == [("one\ntwo", "r.tsv row 2"), ("x\ty", "r.tsv row 4")]


def test_a_ragged_tsv_is_named(tmp_path: Path) -> None:
    assert "3 cells, the header has 2\n  where: r.tsv row 3" in refusal(
        tmp_path, "r.tsv", 'text\tlabel\n"a\tx\nb\tc\td\n'
    )


def test_random_tables_come_back_as_the_csv_module_wrote_them(tmp_path: Path) -> None:
    import csv

    chance = random.Random(3)
    for trial in range(100):
        for name, delimiter in (("r.csv", ","), ("r.tsv", "\t")):
            cells = ["".join(chance.choice('ab,;"\t\n 中') for _ in range(6)) + "x" for _ in range(8)]
            with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, delimiter=delimiter)
                writer.writerows([("text", "label"), *((cell, "l") for cell in cells)])
            place = str(tmp_path / name)
            assert [r.text for r in read_rows(Table(train=place), TEXTS, place)] == cells, trial


SHAPES = {
    "lines.jsonl": lambda rows: "\n".join(json.dumps(row) for row in rows) + "\n",
    "lines.json": lambda rows: "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
    "list.json": lambda rows: json.dumps(rows, indent=1),
    "pretty.json": lambda rows: "\n".join(json.dumps(row, indent=2) for row in rows),
}


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("lines.jsonl", [1, 2, 3]),
        ("lines.json", [1, 2, 3]),
        ("list.json", [1, 2, 3]),
        ("pretty.json", [1, 5, 9]),
    ],
)
def test_json_in_all_its_shapes(tmp_path: Path, name: str, numbers: list[int]) -> None:
    values = [
        {"text": "一\u2028", "label": 1},
        {"text": "two", "label": 1.0},
        {"label": True, "text": "three"},
    ]
    rows = table(tmp_path, name, SHAPES[name](values))
    assert [(row.text, row.label) for row in rows] == [("一\u2028", "1"), ("two", "1"), ("three", "true")]
    assert [row.where for row in rows] == [f"{name} row {number}" for number in numbers]


def test_all_broken_rows_of_json_lines_are_named_together(tmp_path: Path) -> None:
    lines = [
        '{"text": "a", "label": "x"}',
        '{"text": "a", "label"}',
        '{"text": "a"}',
        '{"text": "a", "label": null}',
        '{"text": "a", "label": 0.5}',
        '{"text": 3, "label": "x"}',
        '{"text": "a\\u0000", "label": "x"}',
        '{"text": "a\\ud83d", "label": "x"}',
        '{"text": "a", "label": ["x"]}',
        '["a"]',
        '{"label": "x"}',
        "[" * 100_000,
    ]
    message = refusal(tmp_path, "r.jsonl", "\n".join(lines))
    assert rows_named(message, "r.jsonl") == set(range(2, 13))
    assert "column 22" in message and "nested too deeply" in message and "NUL" in message


def test_broken_json_names_its_line(tmp_path: Path) -> None:
    assert "r.json line 2" in refusal(tmp_path, "r.json", '[{"text": "a", "label": "b"},\n{"text": ]')
    assert "r.json line 5" in refusal(tmp_path, "r.json", '{\n"text": "a",\n"label": "b"\n}\n{]')
    message = refusal(tmp_path, "r.jsonl", '{"txt": "a", "label": "b"}')
    assert "the columns are 'txt', 'label'" in message and "did you mean 'txt'?" in message


def test_parquet_and_saved_data_sets_name_their_classes(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    made = datasets.Dataset.from_dict({"text": ["a", "b", None], "label": [1, 0, 1]}, features=features)
    made.to_parquet(str(tmp_path / "r.parquet"))
    made.save_to_disk(str(tmp_path / "saved"))
    datasets.DatasetDict({"train": made}).save_to_disk(str(tmp_path / "all"))
    for name in ("r.parquet", "saved", "all/train"):
        place = str(tmp_path / name)
        rows = read_rows(Table(train=place), TEXTS, place)
        assert [(row.text, row.label) for row in rows] == [("a", "pos"), ("b", "neg")]
        assert rows[1].where == f"{Path(name).name} row 2"
        with pytest.raises(DataError, match="the columns are 'text', 'label'"):
            read_rows(Table(train=place, text="txt"), TEXTS, place)
    with pytest.raises(DataError, match=r"several splits: train(.|\n)*all/train"):
        read_rows(Table(train="x"), TEXTS, str(tmp_path / "all"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"cannot be read(.|\n)*bad.parquet"):
        read_rows(Table(train="x"), TEXTS, str(tmp_path / "bad.parquet"))


def test_the_hub_is_asked_for_one_split(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[Any] = []

    def load(*names: Any, **options: Any) -> Any:
        asked.append((names, options))
        names_of_tags = datasets.ClassLabel(names=["O", "B-X"])
        features = datasets.Features({"text": datasets.List(datasets.Value("string"))})
        features["label"] = datasets.List(names_of_tags)
        return datasets.Dataset.from_dict({"text": [["a", "b"]], "label": [[0, 1]]}, features=features)

    monkeypatch.setattr(datasets, "load_dataset", load)
    place = "hub:nyu-mll/glue/sst2#train"
    assert read_rows(Table(train=place), TAGS, place) == [Row(("a", "b"), ("O", "B-X"), f"{place} row 1")]
    assert asked == [(("nyu-mll/glue", "sst2"), {"split": "train"})]
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: (_ for _ in ()).throw(OSError("offline")))
    with pytest.raises(DataError, match="offline"):
        read_rows(Table(train=place), TEXTS, place)
    for wrong in ("hub:glue#train", "hub:a/b", "hub:a/b#", "hub:../b#train", "hub:"):
        with pytest.raises(DataError, match="does not name a split"):
            read_rows(Table(train=wrong), TEXTS, wrong)


def test_a_list_of_tokens_is_held_to_its_tags(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    lines = [
        {"text": ["a", "b"], "label": ["O"]},
        {"text": "a b", "label": ["O", "O"]},
        {"text": ["a"], "label": "O"},
        {"text": ["a"], "label": ["X-PER"]},
        {"text": ["a", ""], "label": ["O", "O"]},
        {"text": ["a"], "label": ["PER"]},
        {"text": ["a"], "label": ["I-PER"]},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError) as refused:
        read_rows(Table(train="x"), TAGS, str(path))
    message = str(refused.value)
    assert rows_named(message, "r.jsonl") == set(range(1, 7))
    assert "in BIO: O, B-TYPE" in message and "2 tokens but 1 tags" in message


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    assert "unpack it first" in refusal(tmp_path, "r.csv.zip", "x")
    assert "a Table is read from .csv" in refusal(tmp_path, "r.xls", "x")
    assert "the file is empty\n  where: r.csv" in refusal(tmp_path, "r.csv", "\n \n")
    assert "no rows to use\n  where: r.csv" in refusal(tmp_path, "r.csv", "text,label\n")
    assert "all 2 are empty\n  where: r.csv" in refusal(tmp_path, "r.csv", "text,label\n ,a\n\u3000\u200b,b\n")
    (tmp_path / "r.csv").write_text("text,label\na,b\n")
    with pytest.raises(DataError, match="list of tokens"):
        read_rows(Table(train="x"), TAGS, str(tmp_path / "r.csv"))


def test_kinds_that_do_not_fit_the_task_are_refused() -> None:
    with pytest.raises(DataError, match="tagged sentences"):
        read_rows(Columns(train="x"), TEXTS, "x")
    with pytest.raises(DataError, match="whole texts"):
        read_rows(LabelledFiles(train={"a": "x"}), TAGS, {"a": "x"})


def test_labelled_files_take_a_table_to_evaluate_on(tmp_path: Path) -> None:
    data = LabelledFiles(train={"a": "x.txt", "b": "y.txt"})
    (tmp_path / "t.tsv").write_text("text\tlabel\nhello\ta\n")
    (tmp_path / "a.txt").write_text("one\n\n two \n")
    assert read_rows(data, TEXTS, str(tmp_path / "t.tsv")) == [Row("hello", "a", "t.tsv row 2")]
    rows = read_rows(data, TEXTS, {"a": str(tmp_path / "a.txt")})
    assert rows == [Row("one", "a", "a.txt line 1"), Row(" two ", "a", "a.txt line 3")]
    with pytest.raises(DataError, match="holds no labels"):
        read_rows(data, TEXTS, str(tmp_path / "a.txt"))


def test_texts_to_predict_on_keep_their_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text('one\n\ntwo, "x\n\n')
    assert read_texts(tmp_path / "a.txt") == ["one", "", 'two, "x', ""]
    (tmp_path / "a.csv").write_text("id,body\n1,one\n2,\n")
    assert read_texts(tmp_path / "a.csv", "body") == ["one", ""]
    (tmp_path / "b.csv").write_text("text\none\n\ntwo\n")
    assert read_texts(tmp_path / "b.csv") == ["one", "", "two"]
    (tmp_path / "b.tsv").write_text("text\none\n\ntwo\n")
    assert read_texts(tmp_path / "b.tsv") == ["one", "", "two"]
    (tmp_path / "c.jsonl").write_text('{"text": "one"}\n{"text": null}\n')
    assert read_texts(tmp_path / "c.jsonl") == ["one", ""]
    with pytest.raises(DataError, match="no column 'body'"):
        read_texts(tmp_path / "c.jsonl", "body")
    (tmp_path / "d.jsonl").write_text('{"text": "one"}\n{"text": 2}\n{"x": 2}\n')
    with pytest.raises(DataError, match=r"d.jsonl row 2(.|\n)*d.jsonl row 3"):
        read_texts(tmp_path / "d.jsonl")
    with pytest.raises(DataError, match=r"did you mean 'a.txt'"):
        read_texts(tmp_path / "a.text")
