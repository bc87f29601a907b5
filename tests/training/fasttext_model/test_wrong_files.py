"""Files that are no fastText models, or no longer: one sentence each with what to do; none crashes or fills memory."""

from __future__ import annotations

import gzip
import random
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from official_models import NAMES, WORDS

from launcher.errors import DataError
from launcher.recipe.source import FastText
from launcher.training.fasttext.model_file import FastTextFile
from launcher.training.sources.vectors.fasttext_vectors import train_vectors

ASKED = [*WORDS, "unseen", "", "</s>"]
HEADER = 92
"""Bytes before the first word."""
NUMBERS = (0, 1, -1, 2, 255, 2**31 - 1, -(2**31), 10**9)
LARGE = (2**62, -(2**63), 10**12, -1, 0)
MOST = 24 * 2**20
"""Bytes that a file of 50 kB may take while it is read."""


def mutated(data: bytes, draw: random.Random) -> bytes:
    """A header, word or matrix with other bytes or numbers, a cut, or something behind the end."""
    wrong = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        place = draw.randrange(HEADER if draw.random() < 0.7 else len(wrong))
        match draw.randrange(6):
            case 0:
                wrong[place] = draw.randrange(256)
            case 1:
                wrong[place] ^= 1 << draw.randrange(8)
            case 2 | 3:
                place = min(place // 4 * 4, len(wrong) - 4)
                wrong[place : place + 4] = struct.pack("<i", draw.choice(NUMBERS))
            case 4:
                place = min(draw.choice([76, 84, place]), len(wrong) - 8)
                wrong[place : place + 8] = struct.pack("<q", draw.choice(LARGE))
            case 5 if draw.random() < 0.2:
                wrong = wrong[: draw.randrange(len(wrong))] or bytearray(data)
    return bytes(wrong)


def test_a_thousand_mutated_files_are_refused_or_read_consistently(models: dict[str, Path], tmp_path: Path) -> None:
    draw, path, refused, largest = random.Random(18), tmp_path / "wrong.bin", 0, 0
    tracemalloc.start()
    for number in range(1000):
        path.write_bytes(mutated(models[NAMES[number % len(NAMES)]].read_bytes(), draw))
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        try:
            look_up_everything(FastTextFile.open(path))
        except DataError as error:
            (problem,) = error.problems
            assert problem.what.startswith("wrong.bin is no usable fastText model: ") and problem.do, problem
            refused += 1
        largest = max(largest, tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    assert 500 < refused < 980 and largest < MOST


def look_up_everything(model: FastTextFile) -> None:
    rows = model.rows_of(ASKED)
    assert rows.values.min(initial=0) >= 0 and rows.values.max(initial=-1) < model.input.shape[0]
    assert len(model.words) == len(model.counts) and len(model.labels) == len(model.label_counts)
    with np.errstate(all="ignore"):  # what a changed number of a matrix gives is no matter here
        assert model.vectors(ASKED).shape == (len(ASKED), model.settings.dimension)
        assert model.sentence_vector("film good 好").shape == (model.settings.dimension,)
        if model.settings.supervised:
            for told in model.predict(["film good", "word1 好", ""], k=3):
                assert {label for label, _ in told} <= set(model.labels)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole model with subwords: 2 words, 8 buckets."""
    source = FastText(dimension=4, epochs=1, buckets=8, shortest_subword=2, longest_subword=3)
    return train_vectors(source, [["good", "book"]] * 9, tmp_path_factory.mktemp("fasttext")).read_bytes()


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
    "pruneidx_size": (84, "<q", [2**62, 1, 0, -2]),
}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_the_header_is_held_against_the_others(tmp_path: Path, model: bytes, field: str) -> None:
    place, form, values = FIELDS[field]
    for value in values:
        refused(tmp_path, model[:place] + struct.pack(form, value) + model[place + struct.calcsize(form) :], "it")


TERABYTES = struct.pack("<qq", 2**38, 4)
AGAIN = "download or train it again; it must be the `.bin` or `.ftz`"
DAMAGES = {
    "another magic number": (lambda data: b"x" + data[1:], "its first bytes are not fastText's", AGAIN),
    "another version": (lambda data: data[:4] + b"\x63" + data[5:], "its format has version 99, known are", AGAIN),
    "cut": (lambda data: data[:-8], "it ends in the middle of its output matrix of 3 x 4", AGAIN),
    "cut in the dictionary": (lambda data: data[:-260], "it ends in the middle", AGAIN),
    "cut in the header": (lambda data: data[:60], "it ends in its header", AGAIN),
    "empty": (lambda data: b"", "it cannot be read (cannot mmap an empty file)", AGAIN),
    "something behind it": (lambda data: data + b"0", "bytes and should have", AGAIN),
    "terabytes": (lambda data: data.replace(struct.pack("<qq", 11, 4), TERABYTES), "of 274,877,906,944 x 4", AGAIN),
    "words without end": (
        lambda data: data[:64] + struct.pack("<iii", 2**31 - 1, 2**31 - 1, 0) + data[76:],
        "its dictionary says 2,147,483,647 entries, and the file has only",
        AGAIN,
    ),
    "another dimension": (lambda data: data[:8] + b"\x09" + data[9:], "11 x 4, and its header says dim = 9", AGAIN),
    "packed": (gzip.compress, "first bytes", "unpack it first, with gunzip"),
    "word2vec": (lambda data: b"3 2\nthe " + data, "first bytes", "write WordVectors(file=…)"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_told_in_one_sentence_with_what_to_do(tmp_path: Path, model: bytes, name: str) -> None:
    damage, said, do = DAMAGES[name]
    refused(tmp_path, damage(model), said, do)


def test_buckets_by_which_the_library_would_divide(tmp_path: Path, model: bytes) -> None:
    wrong = model[:40] + struct.pack("<iii", 0, 0, 3) + model[52:]
    refused(tmp_path, wrong, "its header says maxn = 3 with minn = 0 and bucket = 0, which cannot be")
    supervised = model[:28] + struct.pack("<iiiiii", 2, 3, 3, 0, 0, 0) + model[52:]
    refused(tmp_path, supervised, "its header says wordNgrams = 2 and bucket = 0, which cannot be")


def refused(folder: Path, content: bytes, said: str, do: str = AGAIN) -> None:
    path = folder / "wrong.bin"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        FastTextFile.open(path)
    (problem,) = caught.value.problems
    assert problem.what.startswith("wrong.bin is no usable fastText model: ") and problem.where == str(path)
    assert said in problem.what and do in problem.do, problem


def test_no_flipped_bit_that_we_read_crashes_the_library(tmp_path: Path, model: bytes) -> None:
    """In a process of its own: what the check lets pass, the library reads, and both say the same."""
    (tmp_path / "whole.bin").write_bytes(model)
    script = f"""
import fasttext, numpy as np
from pathlib import Path
from launcher.errors import DataError
from launcher.recipe.source import FastText
from launcher.training.fasttext.model_file import FastTextFile
from launcher.training.sources.vectors.fasttext_vectors import train_vectors
data, path, passed = Path("whole.bin").read_bytes(), Path("flipped.bin"), 0
for bit in range(0, 8 * {len(model) - 150}, 41):  # each load takes the library a tenth of a second
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    path.write_bytes(flipped)
    try:
        ours = FastTextFile.open(path)
    except DataError:
        continue
    official = fasttext.load_model(str(path))
    assert ours.rows_of(["good"]).values.tolist() == official.get_subwords("good")[1].tolist(), bit
    passed += 1
print(passed)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 5 < int(done.stdout) < 40
