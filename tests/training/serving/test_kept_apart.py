"""A model in a server is its own: neither its files nor the texts that clients send change it."""

import random
import shutil
from pathlib import Path

import pytest
from hosting import Hosted, post

from launcher.serving import served_run
from launcher.serving.served_run import ServedRun
from launcher.training.result import inference
from launcher.training.result.model_folder import load_saved_model


@pytest.fixture(scope="module")
def models(warm):
    steps = {"subwords": 20, "votes": 20, "bert": 2}
    made = {name: warm.finished(name, "Full", max_steps=count) for name, count in steps.items()}
    made["adapted"] = warm.finished("bert", "LoRA", max_steps=2)
    return {name: Path(run.folder.path) / "model" for name, run in made.items()}


@pytest.mark.parametrize("name", ["bert", "adapted", "subwords"])
def test_files_that_are_written_over_change_no_answer(models, tmp_path, name):
    folder = tmp_path / "model"
    shutil.copytree(models[name], folder)
    texts = ["word1 word2 word3", "word4"]
    expected = inference.predict(load_saved_model(folder), texts)
    with Hosted(m=ServedRun(load_saved_model(folder))) as here:
        written = list(folder.rglob("*.safetensors"))
        for file in written:
            with file.open("r+b") as opened:  # as `cp` does it: the same file, other bytes
                opened.write(bytes(file.stat().st_size))
        assert written
        told = post(f"{here.url}/v1/predict", json={"texts": texts}).json()["answers"]
        assert told == expected
        shutil.rmtree(folder)
        assert post(f"{here.url}/v1/predict", json={"texts": texts}).json()["answers"] == expected


@pytest.mark.parametrize("name", ["subwords", "votes"])
def test_new_words_are_answered_as_predict_does_and_forgotten(models, monkeypatch, name):
    monkeypatch.setattr(served_run, "MOST_LEARNT", 50)
    draw = random.Random(3)
    texts = [
        " ".join("".join(draw.choice("abcdwor12") for _ in range(7)) for _ in range(9)) + " word1" for _ in range(100)
    ]
    expected = inference.predict(load_saved_model(models[name]), texts)
    served = ServedRun(load_saved_model(models[name]))
    known, most = len(served.saved.work.tokenizer), 0
    with Hosted(m=served) as here:
        told = []
        for start in range(0, len(texts), 10):
            told += post(f"{here.url}/v1/predict", json={"texts": texts[start : start + 10]}).json()["answers"]
            most = max(most, served.learnt.count)
    wrong = [number for number, (one, other) in enumerate(zip(told, expected, strict=True)) if not alike(one, other)]
    assert wrong == []
    assert 50 < most <= 50 + 100, "what 11 batches taught it was not kept"
    served.learnt.forget()
    assert served.learnt.count == 0 and len(served.saved.work.tokenizer) == known


def alike(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == pytest.approx(other, abs=1e-5) if isinstance(one, float) else one == other
