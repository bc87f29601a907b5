"""Published vectors: three formats, packed or not, and what is said of each way in which a file can be wrong."""

import bz2
import gzip
import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from launcher import (
    BiLSTM,
    DataError,
    Full,
    MeanPooling,
    Recipe,
    RecipeError,
    Table,
    TextCNN,
    Training,
    Transformer,
    WordVectors,
)
from launcher.recipe.task import TextClassification
from launcher.training.memory.model_bound import sizes
from launcher.training.prepare import prepare
from launcher.training.sources import build_model, build_tokenizer, load_tokenizer, told_of
from launcher.training.sources.vectors.vector_file import read_vectors

ROWS = {"the": [0.5, -1, 2], "film": [1, 0, 0.25], "好": [-0.5, 0.125, 1e-3], "was": [0, 0, 1]}
LINES = "".join(f"{word} {' '.join(map(str, numbers))}\n" for word, numbers in ROWS.items())


def binary(rows, end=b"", promised=None):
    body = b"".join(word.encode() + b" " + struct.pack("<3f", *numbers) + end for word, numbers in rows.items())
    return f"{promised or len(rows)} 3\n".encode() + body


FORMATS = {
    "glove.txt": LINES.encode(),
    "words.vec": f"4 3\n{LINES}".encode(),
    "trailing.vec": f"4 3\n{LINES}".replace("\n", " \n").encode(),
    "windows.vec": f"\ufeff4 3\n{LINES}".replace("\n", "\r\n").encode(),
    "word2vec.bin": binary(ROWS),
    "original.bin": binary(ROWS, b"\n"),
    "words.vec.gz": gzip.compress(f"4 3\n{LINES}".encode()),
    "no-such-ending": bz2.compress(binary(ROWS)),
}


def read(folder, content, *words, name="file"):
    (folder / name).write_bytes(content)
    return read_vectors(folder / name, {word.encode() for word in words})


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_rows_that_are_asked_for(tmp_path, name):
    found = read(tmp_path, FORMATS[name], "the", "好", "absent", name=name)
    assert (found.dimension, found.rows, found.repeated) == (3, 4, [])
    assert {word.decode(): vector.tolist() for word, vector in found.vectors.items()} == {
        "the": ROWS["the"],
        "好": np.float32(ROWS["好"]).tolist(),
    }


def test_words_with_spaces_and_the_first_of_two_rows(tmp_path):
    found = read(tmp_path, b"a 1 2\n. . . 3 4\nat b@c.de 5 6\na 7 8\n", "a", ". . .", "b@c.de")
    assert {word.decode(): vector.tolist() for word, vector in found.vectors.items()} == {"a": [1, 2], ". . .": [3, 4]}
    assert found.repeated == ["line 4: a"]


DAMAGE = {
    "ragged": (b"a 1 2\nb 1\nc 1 2 3\nd 1 2\n", ["1 numbers where all rows have 2; file, line 2", "3 numbers"]),
    "not a number": (b"a 1 2\nb 1 x\n", ["the vector of 'b' holds what is no finite number; file, line 2"]),
    "nan": (b"2 2\na 1 2\nb nan 1\n", ["the vector of 'b' holds what is no finite number; file, line 3"]),
    "infinite, binary": (
        binary({"a": [0, 0, 0], "b": [0, float("inf"), 0]}),
        ["the vector of 'b' holds what is no finite number; file, row 2"],
    ),
    "too few rows": (b"3 2\na 1.25 2\nb 1.25 2\n", ["the header promises 3 rows, there are 2; file, line 1"]),
    "too many rows": (b"1 2\na 1 2\nb 1 2\n", ["the header promises 1 rows, there are 2"]),
    "a cut binary": (binary(ROWS)[:-1], ["the header promises 4 rows, there are 3"]),
    "a binary that goes on": (binary(ROWS, promised=3), ["promises 3 rows, and the file goes on after them"]),
    "a huge header": (b"999999999 300\na 1\n", ["1 numbers where the header promises 300; file, line 2"]),
    "a huge dimension": (b"1 9999999\na 1\n", ["the header promises vectors of 9,999,999 numbers"]),
    "an empty file": (b"", ["the first line is neither"]),
    "prose": (b"once upon a time\n", ["the first line is neither"]),
    "a giant line": (b"a 1 2\n" + b"b" * 200_000, ["line 2 is longer than any word"]),
    "fastText": (struct.pack("<ii", 793712314, 12), ["this is a fastText model"]),
    "a cut archive": (gzip.compress(LINES.encode() * 9)[:-9], ["the packed file is cut short or damaged"]),
    "a picture": (b"\x89PNG\r\n\x1a\n", ["the first line is neither"]),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_refused_with_the_place(tmp_path, name):
    content, told = DAMAGE[name]
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, "a", "b", "c")
    said = [
        f"{problem.what}; {(problem.where or '').replace(str(tmp_path) + '/', '')}" for problem in caught.value.problems
    ]
    assert len(said) == len(told) and all(part in line for part, line in zip(told, said, strict=True)), said


def test_of_many_damaged_rows_the_first_are_told_and_the_others_counted(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, b"a 1 2\n" + b"b 1\n" * 100)
    (problem,) = caught.value.problems
    assert problem.where.endswith("file, line 2, 3, 4, 5, 6 and 95 more")


@pytest.mark.parametrize("as_text", [True, False])
def test_a_large_file_is_never_held(tmp_path, as_text):
    """Forty megabytes, of which one row is kept."""
    row = np.linspace(0, 1, 1000, dtype=np.float32)
    with (tmp_path / "large").open("wb") as file:
        count = 5_000 if as_text else 10_000
        file.write(f"{count} 1000\n".encode())
        tail = b" " + (" ".join(f"{value:.5f}" for value in row).encode() if as_text else row.tobytes()) + b"\n"
        for number in range(count):
            file.write(f"word{number}".encode() + tail)
    assert (tmp_path / "large").stat().st_size > 38e6
    tracemalloc.start()
    found = read_vectors(tmp_path / "large", {b"word77"})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(found.vectors[b"word77"], row, atol=1e-5)
    assert (len(found.vectors), found.rows) == (1, count) and peak < 8e6


TEXTS = ["The film was good", "the Film was bad", "好 film"]


def built(folder, **values):
    (folder / "glove.txt").write_text(LINES)
    source = WordVectors(file=str(folder / "glove.txt"), encoder=MeanPooling(hidden=4), **values)
    build_tokenizer(source, TextClassification(), TEXTS, folder)
    return source, load_file(folder / "vectors.safetensors")["vectors"], load_tokenizer(folder).get_vocab()


def test_the_table_has_the_vectors_of_the_training_split(tmp_path):
    source, table, ids = built(tmp_path)
    assert set(ids) == {"[PAD]", "[UNK]", "was", "film", "The", "the", "Film", "good", "bad", "好"}
    for token, word in {"the": "the", "The": "the", "Film": "film", "好": "好"}.items():
        np.testing.assert_array_equal(table[ids[token]], np.float32(ROWS[word]))
    assert not table[0].any()
    np.testing.assert_allclose(table[1], table[2:].mean(0), atol=1e-6)
    assert told_of(tmp_path) == {
        "tokens": 8,
        "tokens_without_a_vector": 2,
        "tokens_by_their_lower_case": 2,
        "rows_of_the_vector_file": 4,
        "words_repeated_in_the_vector_file": 0,
    }
    model = build_model(source, TextClassification(), ("a", "b"), tmp_path, None)
    np.testing.assert_array_equal(model.embeddings.weight.detach().numpy(), table)


def test_words_of_english_are_cut_as_published_vectors_have_them(tmp_path):
    words = ["it", "is", "n't", "over", ",", "says", "bob", "'s", "u.s.", "-", "friend", "."]
    (tmp_path / "glove.txt").write_text("".join(f"{word} {n} 1\n" for n, word in enumerate(words)))
    source = WordVectors(file=str(tmp_path / "glove.txt"))
    lacked = {}
    for tokens in ("words", "whitespace"):
        text = "It isn't over, says Bob's U.S. friend."
        build_tokenizer(replace(source, tokens=tokens), TextClassification(), [text], tmp_path)
        lacked[tokens] = (told_of(tmp_path)["tokens"], told_of(tmp_path)["tokens_without_a_vector"])
    assert lacked == {"words": (11, 0), "whitespace": (7, 4)}


def test_what_the_file_lacks_is_drawn_alike_each_time_and_like_the_others(tmp_path):
    _, table, ids = built(tmp_path)
    _, again, _ = built(tmp_path)
    np.testing.assert_array_equal(table, again)
    missing = table[[ids["good"], ids["bad"]]]
    assert missing.any() and not np.array_equal(*missing) and np.abs(missing).max() < 6
    _, strict, ids = built(tmp_path, try_lowercase=False)
    assert told_of(tmp_path)["tokens_without_a_vector"] == 4
    assert not np.array_equal(strict[ids["The"]], np.float32(ROWS["the"]))


def test_a_file_of_another_language_is_refused(tmp_path):
    (tmp_path / "other.txt").write_text("der 1 2\ndie 3 4\n")
    with pytest.raises(DataError, match="none of the 8 tokens"):
        build_tokenizer(WordVectors(file=str(tmp_path / "other.txt")), TextClassification(), TEXTS, tmp_path)
    with pytest.raises(RecipeError, match=r"there is no .*othr\.txt"):
        build_tokenizer(WordVectors(file=str(tmp_path / "othr.txt")), TextClassification(), TEXTS, tmp_path)


@pytest.mark.parametrize("encoder", [MeanPooling(), BiLSTM(layers=2), TextCNN(), Transformer(layers=3)])
def test_prepared_once_a_file_and_no_model_is_larger_than_its_bound(tmp_path, monkeypatch, encoder):
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    wide = {word: np.linspace(0, 1, 300) for word in ROWS}
    lines = [f"{word} {' '.join(map(str, numbers))}\n" for word, numbers in wide.items()]
    (tmp_path / "wide.txt").write_text("".join(lines))
    rows = [f"the film was number{n}\t{'ab'[n % 2]}\n" for n in range(40)]
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "".join(rows))
    source = WordVectors(file=str(tmp_path / "wide.txt"), encoder=encoder)
    data = Table(train=str(tmp_path / "rows.tsv"))
    recipe = Recipe(task=TextClassification(), data=data, embedding=source, peft=Full(), training=Training())
    prepared = prepare(recipe)
    assert prepared["source"]["tokens_without_a_vector"] == prepared["source"]["tokens"] - 3 > 20
    model = build_model(source, TextClassification(), ("a", "b"), Path(prepared["folder"]), None)
    assert sum(p.numel() for p in model.parameters()) <= sizes(recipe, prepared)["bound"]["weights"]
    assert prepare(recipe)["cached"]
    (tmp_path / "wide.txt").write_text("".join(reversed(lines)) + "another " + " ".join(["1"] * 300) + "\n")
    assert not prepare(recipe)["cached"]
