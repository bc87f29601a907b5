"""`launcher embeddings`: vectors out of a model or a file, written such that others read them back."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file
from small_bert import make_bert

from launcher.errors import DataError
from launcher.training.report.embeddings import embeddings
from launcher.training.sources.vectors.vector_file import read_vectors

WORDS = ["good", "bad", "room", "酒店", "宾馆", "##ing", "."]
VECTORS = "4 2\n男 1 0\n国王 1 1\n女 0 0.1\n女王 0 1\n"


@pytest.fixture
def ask(tmp_path, monkeypatch):
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    nothing = {"words": None, "recipe": None, "settings": {}, "neighbours": [], "analogy": [], "top": 2, "output": None}
    return lambda source, **given: embeddings({**nothing, "source": str(source), **given})


def test_a_model_gives_its_own_words_and_both_files_hold_the_same(tmp_path, ask):
    bert = make_bert(tmp_path / "bert", WORDS)
    told = ask(bert, settings={"dimension": 3}, neighbours=["酒店"], output=str(tmp_path / "m.safetensors"))
    assert (told["words"], told["dimension"]) == (5, 3), "neither pieces nor marks are words"
    assert told["counts"]["tokens_that_are_one_piece"] == 5
    vectors = load_file(tmp_path / "m.safetensors")["vectors"]
    with safe_open(tmp_path / "m.safetensors", "np") as file:
        words = json.loads(file.metadata()["words"])
    assert words == WORDS[:5]
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(directions @ directions[3]))[1]
    assert told["neighbours"]["酒店"][0]["word"] == words[nearest] and len(told["neighbours"]["酒店"]) == 2
    ask(bert, settings={"dimension": 3}, output=str(tmp_path / "m.vec"))
    found = read_vectors(tmp_path / "m.vec", {word.encode() for word in words})
    assert all(np.array_equal(found.vectors[word.encode()], row) for word, row in zip(words, vectors, strict=True))


def test_a_file_of_vectors_answers_an_analogy(tmp_path, ask):
    (tmp_path / "a.vec").write_text(VECTORS, encoding="utf-8")
    told = ask(tmp_path / "a.vec", analogy=["男", "国王", "女"])
    assert told["analogy"][0]["word"] == "女王" and told["counts"]["words_in_the_file"] == 4
    (tmp_path / "words.txt").write_text("女\n国王\n国王\n别的\n", encoding="utf-8")
    told = ask(tmp_path / "a.vec", words=str(tmp_path / "words.txt"))
    assert told["words"] == 2 and told["lines"] == ["not in a.vec: 别的"]


def test_what_cannot_be_answered_is_said(tmp_path, ask):
    (tmp_path / "a.vec").write_text(VECTORS, encoding="utf-8")
    with pytest.raises(DataError, match="'女皇' has no vector here"):
        ask(tmp_path / "a.vec", neighbours=["女皇"])
    (tmp_path / "words.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(DataError, match="the file has no words"):
        ask(tmp_path / "a.vec", words=str(tmp_path / "words.txt"))
    (tmp_path / "words.txt").write_text("good room\n", encoding="utf-8")
    bert = make_bert(tmp_path / "bert", WORDS)
    with pytest.raises(DataError, match=r"'good room' cannot stand in a \.vec"):
        ask(bert, words=str(tmp_path / "words.txt"), output=str(tmp_path / "m.vec"))
    assert not list(tmp_path.glob("*m.vec*"))
