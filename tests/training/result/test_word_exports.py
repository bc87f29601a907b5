"""ONNX exports of models that say words: what the reader in the folder writes is what `launcher predict` writes."""

from pathlib import Path

import pytest
import speaking
from numbered import sentences

from launcher import Full, MaskedLanguageModel, Pretrained, Recipe, Table, Training
from launcher.errors import DataError
from launcher.exported.answering import Exported
from launcher.recipe.recipe import resolve
from launcher.training.initial_model import initial_model
from launcher.training.prepare import prepare
from launcher.training.result.exports import Wanted, export
from launcher.training.result.inference import predict
from launcher.training.result.model_folder import load_saved_model, save_model

ROWS = 120


@pytest.fixture(autouse=True)
def cached(cache, monkeypatch):
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    path = tmp_path_factory.mktemp("documents") / "documents.tsv"
    rows = [" . ".join(" ".join(words) for words in (one, one[::-1], one)) for one in sentences(ROWS, "documents")]
    path.write_text("text\n" + "".join(f"{row}\n" for row in rows))
    return path


def untrained(task, data, embedding, folder):
    """The model as it is before training, saved as a finished run's."""
    nouns = {"task": task, "data": data, "embedding": embedding, "peft": Full(), "training": Training()}
    recipe = resolve(Recipe(**nouns), Path("recipe.py"), "", {}).recipe
    prepared = prepare(recipe)
    place = Path(prepared["folder"])
    model = initial_model(recipe, prepared["labels"], place).eval()
    save_model(model, recipe, prepared["labels"], place, prepared["max_length"], folder / "model")
    return folder / "model"


def test_a_model_that_was_taught_pairs_fills_in_words(documents, tmp_path):
    model = speaking.make("bert", tmp_path / "bert", initializer_range=0.3)
    task = MaskedLanguageModel(next_sentence=True, whole_words=True)
    folder = untrained(task, Table(train=str(documents)), Pretrained(model=model, max_length=16), tmp_path)
    saved = load_saved_model(folder)
    texts = ["[MASK] word1 [SEP] word2 [CLS] [MASK] .", "word1 " * 20 + "[MASK]", "[MASK]", "[MASK][MASK] 好很好[MASK]"]
    ours = predict(saved, texts)
    told = export(saved, Wanted("onnx", tmp_path / "out", int8=True), folder)
    made, plain, small = told["rows"]
    assert plain["equal_answers"] == 1 and small["equal_answers"] < 1
    assert plain["perplexity"] == pytest.approx(made["perplexity"], rel=1e-5)
    export(saved, Wanted("onnx", tmp_path / "whole", check=False), folder)
    exported = Exported.open(tmp_path / "whole")
    assert exported.predict(texts) == ours and len({word for answer in ours for word in answer["words"]}) > 1
    with pytest.raises(DataError, match=r"the text has no \[MASK\]"):
        exported.predict(["word1"])
