"""A cache that two users share: nothing of another user's is believed, followed or cut, and rot is prepared anew."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from launcher.errors import DataError, WorkerError
from launcher.recipe.recipe import load
from launcher.recipe.source import FastText
from launcher.training.data.shared_cache import refuse_damage
from launcher.training.prepare import prepare
from launcher.training.sources.vectors.fasttext_vectors import train_vectors

RECIPE = """from launcher import *

recipe = Recipe(
    task=TextClassification(), data=Table(train={data!r}, validation_size=8),
    embedding=RandomVectors(dimension=8, tokens="words"), peft=Full(), training=Training(epochs=1),
)
"""
ANOTHER = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user's")


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o2777)
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))
    rows = [f"word{n} word{n + 1}\t{'even' if n % 2 == 0 else 'odd'}\n" for n in range(40)]
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(rows))
    path = tmp_path / "small.py"
    path.write_text(RECIPE.format(data=str(tmp_path / "train.tsv")))
    return load(path).recipe


def turn_labels_over(folder):
    path = folder / "train.safetensors"
    columns = load_file(path)
    right = columns["columns/labels"].copy()
    columns["columns/labels"] = 1 - columns["columns/labels"]
    save_file(columns, path)
    return right


def labels_in(told):
    return load_file(Path(told["folder"]) / "train.safetensors")["columns/labels"]


def test_what_does_not_fit_its_digest_is_prepared_anew(recipe):
    first = prepare(recipe)
    folder = Path(first["folder"])
    assert prepare(recipe)["cached"]
    refuse_damage(folder)
    right = turn_labels_over(folder)
    with pytest.raises(WorkerError, match=r"cannot be trusted: train\.safetensors is not as it was written"):
        refuse_damage(folder)
    again = prepare(recipe)
    assert not again["cached"] and again["folder"] == str(folder)
    assert np.array_equal(labels_in(again), right)
    for content in ("", "[1]", json.dumps({**json.loads((folder / "facts.json").read_text()), "max_length": 3})):
        (folder / "facts.json").write_text(content)
        assert prepare(recipe)["max_length"] == first["max_length"]
    (folder / "tokenizer" / "tokenizer.json").unlink()
    assert not prepare(recipe)["cached"] and prepare(recipe)["cached"]


def test_a_lock_that_is_a_link_is_not_followed_and_what_it_names_not_cut(recipe, tmp_path):
    folder = Path(prepare(recipe)["folder"])
    mine = tmp_path / "mine"
    mine.write_text("precious")
    lock = folder.with_suffix(".lock")
    lock.unlink()
    lock.symlink_to(mine)
    told = prepare(recipe)
    assert mine.read_text() == "precious"
    assert Path(told["folder"]).name == f"{folder.name}-{os.geteuid()}" and prepare(recipe)["cached"]
    lock.unlink()
    lock.write_text("kept")
    prepare(recipe)
    assert lock.read_text() == "kept"


@needs_root
def test_what_another_user_prepared_is_not_believed(recipe):
    folder = Path(prepare(recipe)["folder"])
    right = turn_labels_over(folder)
    from launcher.training.data.shared_cache import seal

    facts = json.loads((folder / "facts.json").read_text())
    seal(folder, {name: value for name, value in facts.items() if name not in ("files", "seal")})
    assert np.array_equal(labels_in(prepare(recipe)), 1 - right), "their seal fits"
    for path in (folder, *folder.rglob("*"), folder.with_suffix(".lock")):
        os.chown(path, ANOTHER, ANOTHER)
    told = prepare(recipe)
    assert np.array_equal(labels_in(told), right) and told["folder"] != str(folder)
    with pytest.raises(WorkerError, match="belongs to another user"):
        refuse_damage(folder)
    os.chown(told["folder"], ANOTHER, ANOTHER)
    with pytest.raises(DataError, match="another user owns what is at our path in the cache") as refused:
        prepare(recipe)
    assert "RECIPE_LAUNCHER_CACHE" in str(refused.value)


def test_trained_vectors_in_the_cache_are_known_by_their_digest(tmp_path):
    lines = [("a", "b"), ("b", "c")] * 20
    embedding = FastText(dimension=4, epochs=1, buckets=10, tokens="words")
    made = train_vectors(embedding, lines, tmp_path)
    content, times = made.read_bytes(), made.stat().st_mtime_ns
    assert train_vectors(embedding, lines, tmp_path) == made and made.stat().st_mtime_ns == times
    made.write_bytes(content[:-1] + bytes([content[-1] ^ 64]))
    assert train_vectors(embedding, lines, tmp_path).read_bytes() == content
