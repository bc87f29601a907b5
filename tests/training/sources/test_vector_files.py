"""Vector files as other tools write and people cut them; and headers of fastText models that must not be believed."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from launcher.errors import DataError
from launcher.recipe.source import FastText
from launcher.training.sources.vectors.fasttext_bin import check_bin
from launcher.training.sources.vectors.fasttext_vectors import load, train_vectors
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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole model with subwords: 2 words, 8 buckets."""
    source = FastText(dimension=4, epochs=1, buckets=8, shortest_subword=2, longest_subword=3)
    path = train_vectors(source, [["good", "book"]] * 9, tmp_path_factory.mktemp("fasttext"))
    check_bin(path)
    return path.read_bytes()


FIELDS = {
    "dim": (8, "<i", [0, -1, 5, 2**31 - 1]),
    "loss": (32, "<i", [0, 7, -3]),
    "model": (36, "<i", [0, 9]),
    "bucket": (40, "<i", [0, -8, 9, 2**31 - 1]),
    "minn": (44, "<i", [-1, 9]),
    "maxn": (48, "<i", [-1, 2**31 - 1]),
    "entries": (64, "<i", [-1, 99]),
    "words": (68, "<i", [-1, 2**31 - 1]),
    "labels": (72, "<i", [-1, 2]),
    "tokens": (76, "<q", [-1]),
    "pruneidx_size": (84, "<q", [2**62, 1, -2]),
}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_fasttext_header_is_held_against_the_others(tmp_path: Path, model: bytes, field: str) -> None:
    place, form, values = FIELDS[field]
    path = tmp_path / "wrong.bin"
    for value in values:
        path.write_bytes(model[:place] + struct.pack(form, value) + model[place + struct.calcsize(form) :])
        with pytest.raises(DataError, match=r"wrong\.bin is no usable fastText model: (its|it ends|entry)"):
            check_bin(path)


def test_buckets_by_which_the_library_would_divide(tmp_path: Path) -> None:
    source = FastText(dimension=4, epochs=1, buckets=1, shortest_subword=0, longest_subword=0)
    path = train_vectors(source, [["good", "book"]] * 9, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:40] + struct.pack("<iii", 0, 0, 3) + data[52:])
    with pytest.raises(DataError, match="maxn = 3 with minn = 0 and bucket = 0"):
        load(path)


def test_no_flipped_bit_of_a_fasttext_header_or_dictionary_crashes_the_library(tmp_path: Path, model: bytes) -> None:
    """In a process of its own: what the check lets pass, the library reads."""
    end = model.rindex(b"book\0", 0, 200) + 14
    (tmp_path / "whole.bin").write_bytes(model)
    script = f"""
import sys
from pathlib import Path
from launcher.errors import DataError
from launcher.training.sources.vectors.fasttext_vectors import load, word_vector
data, path, passed = Path("whole.bin").read_bytes(), Path("flipped.bin"), 0
for bit in range(0, 8 * {end}, 19):  # each load takes the library a tenth of a second
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    path.write_bytes(flipped)
    try:
        model = load(path)
    except DataError:
        continue
    word_vector(model, "good")
    passed += 1
print(passed)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 5 < int(done.stdout) < 8 * end / 19
