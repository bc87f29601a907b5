"""Vector files as other tools write and people cut them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from launcher.errors import DataError
from launcher.training.sources.vectors.vector_file import FileVectors, read_vectors

ROWS = {"the": [0.5, -1.0], "10": [1.0, 0.25], "好": [-0.5, 0.125]}
ALL = [*ROWS, " ", "new york", "windows 10", "to infinity", "\u3000"]


def read(folder: Path, content: str | bytes) -> FileVectors:
    path = folder / "words"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_vectors(path, {word.encode() for word in ALL})


def lines(between: str = " ", inside: str = " ", end: str = "\n", rows: dict[str, list[float]] = ROWS) -> str:
    return "".join(f"{word}{between}{inside.join(map(str, numbers))}{end}" for word, numbers in rows.items())


MORE = {
    "new york": [2.0, 3.0],
    "windows 10": [4.0, 5.0],
    "to infinity": [6.0, 7.0],
    " ": [8.0, 9.0],
    "\u3000": [1.5, 2.5],
}
READ = {
    "tabs": ("3\t2\n" + lines("\t", "\t"), ROWS),
    "a tab behind the word": ("3 2\n" + lines("\t"), ROWS),
    "tabs without a header": (lines("\t", "\t"), ROWS),
    "two blanks": ("3 2\n" + lines("  ", "  "), ROWS),
    "two blanks without a header": (lines("  ", "  "), ROWS),
    "blanks at the end": ("3 2 \n" + lines(end="  \n"), ROWS),
    "Windows": ("\ufeff3 2\r\n" + lines(end="\r\n"), ROWS),
    "Windows without a header": ("\ufeff" + lines(end="\r\n"), ROWS),
    "no last line end": ("3 2\n" + lines().rstrip(), ROWS),
    "blank lines": ("3 2\n\n" + lines(end="\n\n"), ROWS),
    "phrases": ("8 2\n" + lines(rows=ROWS | MORE), ROWS | MORE),
    "phrases, the last first": ("8 2\n" + lines(rows=dict(reversed((ROWS | MORE).items()))), ROWS | MORE),
    "a phrase first, no header": (lines(rows={"new york": [2.0, 3.0], **ROWS}), ROWS | {"new york": [2.0, 3.0]}),
}


@pytest.mark.parametrize("name", READ)
def test_it_is_read_as_it_was_meant(tmp_path: Path, name: str) -> None:
    content, wanted = READ[name]
    found = read(tmp_path, content)
    assert (found.dimension, found.rows) == (2, len(wanted))
    assert {word.decode(): vector.tolist() for word, vector in found.vectors.items()} == wanted


@pytest.mark.parametrize("first", ["the", "10", "好"])
def test_a_binary_file_is_told_by_the_bytes_of_its_numbers(tmp_path: Path, first: str) -> None:
    rows = {first: ROWS[first], **ROWS}
    body = b"".join(word.encode() + b" " + np.array(numbers, "<f4").tobytes() for word, numbers in rows.items())
    assert read(tmp_path, b"3 2\n" + body).vectors[first.encode()].tolist() == ROWS[first]


TOLD = {
    "the first lines": (
        "2000000 2\n" + lines(),
        ["promises 2,000,000 rows, there are 3", "write `3 2` in its first line"],
    ),
    "more than promised": ("2 2\n" + lines(), ["promises 2 rows, there are 3", "write `3 2` in its first line"]),
    "a larger dimension": ("3 5\n" + lines(), ["2 numbers where the header promises 5", "line 2, 3, 4"]),
    "a smaller dimension": ("3 1\n" + lines(), ["promises 1 numbers a row, most rows have more"]),
    "a short row": ("3 2\nthe 1 2\n10 3\n好 1 2\n", ["1 numbers where the header promises 2", "line 3"]),
    "commas": ("the,1,2\n10,3,4\n", ["neither `rows dimension` nor a word", "parted by blanks or tabs"]),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_cannot_be_read_is_told_as_it_is(tmp_path: Path, name: str) -> None:
    content, told = TOLD[name]
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert [part for part in told if part not in str(caught.value)] == [], str(caught.value)
