"""Lines that hold their labels, as fastText reads them; columns that are packed and in another encoding."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from test_data_broken import TASK, saved

from launcher.errors import DataError
from launcher.recipe.data import Columns, LabelledLines
from launcher.recipe.task import TokenClassification
from launcher.training.data import read_rows


def lines(tmp_path: Path, content: str, prefix: str = "__label__") -> list[tuple[object, object]]:
    path = saved(tmp_path, "t.txt", content.encode())
    return [(r.text, r.label) for r in read_rows(LabelledLines(train="x", prefix=prefix), TASK, str(path))]


def test_lines_with_labels_are_read_as_fasttext_reads_them(tmp_path: Path) -> None:
    content = "__label__good  a fine book\n\n__label__bad\ta  b \nlate __label__good words\n__label__x__label__ y\n"
    assert lines(tmp_path, content) == [
        ("a fine book", "good"),
        ("a  b", "bad"),
        ("late words", "good"),
        ("y", "x__label__"),
    ]
    assert lines(tmp_path, "#pos 好，很好\n#neg\u3000不好\n#neg 差\n", "#")[0] == ("好，很好", "pos")


def test_lines_without_one_label_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        lines(tmp_path, "__label__a x\nno label\n__label__a __label__b two\n__label__ none\n__label__a __label__a y\n")
    message = str(refused.value)
    assert "the row has no label\n  where: t.txt line 2, 4\n" in message
    assert "the line has 2 labels (a, b), and the task takes one\n  where: t.txt line 3" in message
    assert "line 1\n" not in message and "line 5" not in message
    with pytest.raises(DataError, match="LabelledLines holds whole texts"):
        read_rows(LabelledLines(train="x"), TokenClassification(), "x")


def test_columns_in_another_encoding_and_packed(tmp_path: Path) -> None:
    content = "\n".join(f"{character} {'B-X' if character == '书' else 'O'}" for character in "这本书非常好的")
    path = saved(tmp_path, "t.conll.gz", gzip.compress(content.encode("gbk")))
    (row,) = read_rows(Columns(train="x"), TokenClassification(), str(path))
    assert "".join(row.text) == "这本书非常好的" and row.label[2] == "B-X"
