"""`launcher export` of static vectors: the official library loads what is written and answers as the run's model."""

import json
import subprocess
import sys

import fasttext
import numpy as np
import pytest

from launcher.errors import RecipeError, WorkerError
from launcher.training.result import static_exports
from launcher.training.result.exports import Wanted
from launcher.training.result.exports import export as write
from launcher.training.result.inference import predict
from launcher.training.result.model_folder import load_saved_model

STEPS = {"max_steps": 40, "evaluate_every": 40}
TEXTS = ["word1 word3 word2", "unheardofword word7", "word0", "从未见过 word9 🙂", ""]


def export(saved, kind, output, texts=None):
    return write(saved, Wanted(kind, output, texts), output)


def saved_of(warm, model, method="Full"):
    return load_saved_model(warm.finished(model, method, "single", 1, **STEPS).folder.path / "model")


def test_the_official_library_predicts_as_the_classifier_does(warm, tmp_path):
    saved = saved_of(warm, "votes")
    told = export(saved, "fasttext", tmp_path / "f.bin", tmp_path / "test.txt")
    assert told["equal_labels"] == told["compared"] == 20 and told["largest_difference"] < 1e-6
    official = fasttext.load_model(str(tmp_path / "f.bin"))
    for text, ours in zip(TEXTS, predict(saved, TEXTS), strict=True):
        labels, probabilities = official.predict(text, k=-1)
        theirs = dict(zip([label.removeprefix("__label__") for label in labels], probabilities, strict=True))
        # it adds 1e-5 to each before it takes the logarithm
        for label, probability in ours["probabilities"].items():
            assert theirs[label] - 1e-5 == pytest.approx(probability, abs=1e-6)
    count, precision, _ = official.test(str(tmp_path / "test.txt"))
    assert count == told["compared"] and 0.3 < precision <= 1


@pytest.mark.parametrize(("model", "method"), [("subwords", "Full"), ("subwords", "LoRA"), ("ner", "Full")])
def test_vectors_of_known_and_new_words_are_the_same_in_the_official_library(warm, tmp_path, model, method):
    saved = saved_of(warm, model, method)
    told = export(saved, "fasttext", tmp_path / "f.bin")
    assert told["compared"] > 20 and told["largest_difference"] < 1e-5
    official = fasttext.load_model(str(tmp_path / "f.bin"))
    matrix, held = official.get_input_matrix(), static_exports.Vectors.of(saved, "fasttext")
    for number, word in enumerate(held.words):
        rows = official.get_subwords(word)[1]
        theirs = matrix[rows].mean(0) if len(rows) else np.zeros(matrix.shape[1])
        np.testing.assert_allclose(held.of_words[number], theirs, atol=1e-5)


def test_a_vec_file_holds_every_word_exactly(warm, tmp_path):
    saved = saved_of(warm, "subwords")
    told = export(saved, "vec", tmp_path / "f.vec")
    head, *lines = (tmp_path / "f.vec").read_text(encoding="utf-8").splitlines()
    held = static_exports.Vectors.of(saved, "vec")
    assert head == f"{told['words']} {told['dimension']}" and told["words"] == len(lines) == len(held.words)
    word, *numbers = lines[5].split(" ")
    assert word == held.words[5] and np.array_equal(np.array(numbers, np.float32), held.of_words[5])


def test_a_file_that_answers_otherwise_is_removed(warm, tmp_path, monkeypatch):
    saved, whole = saved_of(warm, "votes"), static_exports.write_model

    def broken(*given):
        whole(*given[:-1], given[-1] + 0.1 * np.arange(given[-1].shape[1], dtype=np.float32) * np.eye(*given[-1].shape))

    monkeypatch.setattr(static_exports, "write_model", broken)
    with pytest.raises(WorkerError, match="answers otherwise than the model"):
        export(saved, "fasttext", tmp_path / "f.bin", tmp_path / "t.txt")
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_cannot_hold_is_refused(warm, tmp_path):
    saved = saved_of(warm, "bert", "LoRA")
    with pytest.raises(RecipeError, match="the run's model is Pretrained, which has no vectors of words"):
        export(saved, "vec", tmp_path / "a.vec")
    with pytest.raises(RecipeError, match="texts are written beside a model that gives them labels"):
        export(saved_of(warm, "subwords"), "fasttext", tmp_path / "a.bin", tmp_path / "t.txt")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_and_refuses_in_words(warm, tmp_path, environment):
    run = warm.finished("ner", "Full", "single", 1, **STEPS).folder.path
    words = [sys.executable, "-m", "launcher", "export", run, "--format", "vec", "--json", "--output"]
    words.append(tmp_path / "f.vec")
    first, again = (subprocess.run(words, capture_output=True, text=True, env=environment) for _ in range(2))
    assert json.loads(first.stdout) == {
        **{"file": str(tmp_path / "f.vec"), "format": "vec", "words": 60, "dimension": 24, "left_out": 0}
    }
    assert again.returncode == 2 and json.loads(again.stdout)["problems"][0]["what"] == "there is a file already"
