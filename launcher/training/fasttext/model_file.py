"""A fastText model read where it lies: `.bin` and `.ftz`, mapped into memory, checked before anything is believed.

All processes of a machine that open the same file share one copy of its matrices, the page cache's; none of them
reads rows that nobody asks for. What a word's vector or a line's labels are is what the official code says; its
Python library is not used. numpy only.
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from launcher.errors import DataError, Problem
from launcher.training.batches.split import Ragged
from launcher.training.fasttext.dictionary import Dictionary, read_dictionary
from launcher.training.fasttext.losses import Classifier, classifier
from launcher.training.fasttext.matrices import Matrix, Quantised, read_matrices, sums
from launcher.training.fasttext.rows import Rows
from launcher.training.fasttext.settings import SIZE, Settings, Unusable, read_settings

_TEXTS = 1024
"""That are looked at together."""
_WORD = re.compile("[^ \t\n\v\f\r]+")
"""As C++ reads one from a stream; how a supervised model cuts lines is a little different."""


class FastTextFile:
    """A whole model: its settings, words, labels and matrices, and what they say of words and texts."""

    def __init__(self, path: Path, settings: Settings, dictionary: Dictionary, matrices: tuple[Matrix, Matrix]):
        self.path, self.settings = path, settings
        self.input, self.output = matrices
        self._dictionary = dictionary

    @classmethod
    def open(cls, path: Path) -> FastTextFile:
        """Map the file. Raises DataError, in one sentence with what to do, for one that is no whole fastText model."""
        start = b""
        try:
            with path.open("rb") as file:
                start = file.read(10)
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return cls(path, *_read(data))
        except (OSError, ValueError) as error:
            complaint = str(error) if isinstance(error, Unusable) else f"it cannot be read ({error})"
        what = f"{path.name} is no usable fastText model: {complaint}"
        raise DataError(Problem(what, str(path), _what_to_do(path, start)))

    @property
    def quantised(self) -> bool:
        """Whether its rows are codes, as in a `.ftz`."""
        return isinstance(self.input, Quantised)

    @cached_property
    def words(self) -> list[str]:
        """The words by their rows. Bytes that are no UTF-8 are kept as Python keeps those of file names."""
        return _decoded(self._dictionary.entries[: self._dictionary.words])

    @cached_property
    def labels(self) -> list[str]:
        """The labels by their rows of the output matrix; a model that was not supervised has none."""
        return _decoded(self._dictionary.entries[self._dictionary.words :])

    @property
    def counts(self) -> np.ndarray:
        """How often each word occurred in training, int64 [words]."""
        return self._dictionary.counts[: self._dictionary.words]

    @property
    def label_counts(self) -> np.ndarray:
        """How often each label occurred in training, int64 [labels]."""
        return self._dictionary.counts[self._dictionary.words :]

    @cached_property
    def rows(self) -> Rows:
        """Which rows of the input matrix words and lines have."""
        return Rows(self.settings, self._dictionary.entries, self._dictionary.words, self._dictionary.kept)

    def rows_of(self, words: Sequence[str]) -> Ragged:
        """Rows of the input matrix: a known word's own first, then those of its n-grams, but for pruned ones.

        A label counts as an unknown word, where the library would take a row that is another's.
        """
        return self.rows.of_words(words)

    def vectors(self, words: Sequence[str]) -> np.ndarray:
        """The mean of each word's rows, float32 [words, dimension] (Bojanowski et al. 2017); zeros for one without."""
        rows = self.rows_of(words)
        vectors: np.ndarray = sums(self.input, rows) / _sizes(rows)
        return vectors

    def sentence_vector(self, text: str) -> np.ndarray:
        """The vector of a text, float32 [dimension]."""
        vector: np.ndarray = self.sentence_vectors([text])[0]
        return vector

    def sentence_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of texts, float32 [texts, dimension], in two ways, as the library has them.

        Of a supervised model the mean of the rows of all words and n-grams of words, as it goes into the output; of
        others the mean of the words' vectors, each divided by its length.
        """
        if self.settings.supervised:
            return self._hidden(self.rows.of_lines(texts))
        number: dict[str, int] = {}
        lines = [[number.setdefault(word, len(number)) for word in _WORD.findall(text)] for text in texts]
        vectors = self.vectors(list(number))
        lengths = np.sqrt(np.square(vectors, dtype=np.float64).sum(1)).astype(np.float32)
        there = lengths > 0
        vectors[there] /= lengths[there, None]
        found = np.zeros((len(texts), self.settings.dimension), dtype=np.float32)
        for place, line in enumerate(lines):
            counted = [word for word in line if there[word]]
            if counted:
                found[place] = vectors[counted].mean(0)
        return found

    def predict(self, texts: Sequence[str], k: int = 1, threshold: float = 0.0) -> list[list[tuple[str, float]]]:
        """Of each text its k best labels (-1: all) with probabilities of at least the threshold, the best first.

        A text without any row (no known word, no n-gram) has none. Raises DataError for a model that is no classifier.
        """
        if not self.settings.supervised:
            what = f"{self.path.name} is a {self.settings.model} model, which predicts no labels"
            raise DataError(Problem(what, str(self.path), "give a model that fastText's supervised training made"))
        if k == 0 or k < -1:
            raise ValueError(f"k = {k}: it is at least 1, or -1 for all labels")
        found: list[list[tuple[str, float]]] = []
        for start in range(0, len(texts), _TEXTS):
            found += self._predict(texts[start : start + _TEXTS], k if k > 0 else len(self.labels), threshold)
        return found

    def _predict(self, texts: Sequence[str], k: int, threshold: float) -> list[list[tuple[str, float]]]:
        rows = self.rows.of_lines(texts)
        found: list[list[tuple[str, float]]] = [[] for _ in texts]
        filled = np.flatnonzero(rows.lengths)
        if not len(filled) or not self.labels:
            return found
        best = self._classifier.best(self._hidden(rows)[filled], k, threshold)
        for place, scored in zip(filled.tolist(), best, strict=True):
            found[place] = [(self.labels[one.label], math.exp(one.score)) for one in scored]
        return found

    def _hidden(self, rows: Ragged) -> np.ndarray:
        """The means that go into the output: sums times 1 / n, as the library takes them, so they are the same bits."""
        hidden: np.ndarray = sums(self.input, rows) * (1 / _sizes(rows))
        return hidden

    @cached_property
    def _classifier(self) -> Classifier:
        output = self.output.rows(np.arange(len(self.labels)))
        return classifier(self.settings.loss, output, self.label_counts)


def _read(data: mmap.mmap) -> tuple[Settings, Dictionary, tuple[Matrix, Matrix]]:
    settings = read_settings(data)
    dictionary, position = read_dictionary(data, SIZE)
    words, entries = dictionary.words, len(dictionary.entries)
    inputs, outputs = words + settings.hashed_rows, entries - words if settings.supervised else words
    if dictionary.kept is not None:
        inputs = words + int(dictionary.kept[:, 1].max(initial=-1)) + 1
    matrices = read_matrices(data, position, (inputs, outputs, settings.dimension))
    if dictionary.kept is not None and not isinstance(matrices[0], Quantised):
        raise Unusable("its n-grams are pruned, which only a quantised model's can be")
    return settings, dictionary, matrices


def _sizes(rows: Ragged) -> np.ndarray:
    """How many rows each has, float32 [rows, 1]; 1 for none, whose sum is zeros."""
    sizes: np.ndarray = np.maximum(rows.lengths, 1).astype(np.float32)[:, None]
    return sizes


def _decoded(entries: list[bytes]) -> list[str]:
    return [entry.decode("utf-8", "surrogateescape") for entry in entries]


def _what_to_do(path: Path, start: bytes) -> str:
    if start.startswith(b"\x1f\x8b"):
        return "unpack it first, with gunzip"
    if path.suffix == ".vec" or start.split(b" ")[0].isdigit():
        return "if it holds word vectors as text or as word2vec writes them, write WordVectors(file=…)"
    return "download or train it again; it must be the `.bin` or `.ftz` that fastText's save_model writes"
