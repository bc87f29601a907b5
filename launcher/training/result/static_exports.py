"""Models of static vectors in the formats of fastText: its `.bin`, which the official library loads, and `.vec`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from launcher.errors import Problem, RecipeError, WorkerError
from launcher.recipe.source import FastText
from launcher.runs.halves import half_of
from launcher.training.batches.split import TOKENS, Split
from launcher.training.fasttext.model_file import FastTextFile
from launcher.training.fasttext.settings import Settings
from launcher.training.fasttext.subwords import END_OF_LINE, Subwords
from launcher.training.fasttext.writing import write_model
from launcher.training.model_parts.sparse_table import base_of
from launcher.training.prepare import prepare
from launcher.training.result.model_folder import SavedModel
from launcher.training.sources.static.fasttext_classifier import FastTextClassifierModel
from launcher.training.sources.static.static_model import StaticVectorsModel
from launcher.training.sources.static.subword_table import SubwordTable, vectors_of
from launcher.training.sources.static.vocabulary import SPECIAL
from launcher.training.sources.vectors.vector_writing import fits_a_line, write_vectors

LABEL = "__label__"
"""What fastText's labels begin with."""
BLOCK = 2**16
"""Rows of a large table that are written together."""
BATCH = 256
TOLERANCE = 1e-5
ADDED = 1e-5
"""fastText adds it to a probability before it takes the logarithm (`std_log`), and so tells 1.00001 of a sure label."""


@dataclass(frozen=True)
class Vectors:
    """What a saved model of static vectors holds, as fastText's formats have it."""

    saved: SavedModel
    model: StaticVectorsModel

    @classmethod
    def of(cls, saved: SavedModel, kind: str) -> Vectors:
        """Raises RecipeError for a model of another kind."""
        model = base_of(saved.model)
        if not isinstance(model, StaticVectorsModel):
            what = f"the run's model is {saved.recipe.embedding.kind}, which has no vectors of words"
            raise RecipeError(Problem(what, do=f"the format {kind} is for static vectors, such as FastText's"))
        return cls(saved, model)

    @cached_property
    def tokens(self) -> list[str]:
        """All that have a number, by it."""
        numbers = self.saved.work.tokenizer.get_vocab()
        return sorted(numbers, key=lambda token: numbers[token])

    @cached_property
    def table(self) -> SubwordTable | None:
        """Where subwords make the vectors."""
        return next((module for module in self.model.modules() if isinstance(module, SubwordTable)), None)

    @cached_property
    def of_words(self) -> np.ndarray:
        """The vector of every word, float32 [words, dimension], in the scale of the source."""
        scale = 1.0 if self.table is None else float(self.table.scale)
        return vectors_of(self.model.embeddings, len(self.tokens))[len(SPECIAL) :] / np.float32(scale)

    @property
    def words(self) -> list[str]:
        """All but padding and unknown."""
        return self.tokens[len(SPECIAL) :]

    def own(self) -> list[str]:
        """The words that have a row of their own, in the order of the rows."""
        if self.table is None:
            return self.words
        known = self.table.known()
        filled = np.flatnonzero(known.rows.lengths)
        first = known.rows.values[known.rows.offsets[filled]]
        mine = first <= known.own  # a word's own row comes before those of its subwords
        return [self.tokens[number] for number in filled[mine][np.argsort(first[mine])]]

    def rows(self) -> Iterator[np.ndarray]:
        """A row for each of these words, then one for each bucket: zeros for what training never named."""
        if self.table is None:
            yield self.of_words
            return
        known, buckets = self.table.known(), self.settings().hashed_rows
        rows = vectors_of(self.table.rows, known.size)[1:] / np.float32(known.scale)
        yield rows[: known.own]
        for start in range(0, buckets, BLOCK):
            block = np.zeros((min(BLOCK, buckets - start), rows.shape[1]), dtype=np.float32)
            low, high = np.searchsorted(known.buckets, [start, start + len(block)])
            block[known.buckets[low:high] - start] = rows[known.own + low : known.own + high]
            yield block

    def settings(self) -> Settings:
        """What the header says."""
        given = Subwords(0, 0, 0) if self.table is None else self.table.known().subwords
        of_subwords = Settings(
            dimension=int(self.model.config.dimension),
            buckets=given.buckets,
            shortest_subword=given.shortest,
            longest_subword=given.longest,
        )
        if isinstance(self.model, FastTextClassifierModel):
            return replace(of_subwords, word_ngrams=self.model.config.word_ngrams)
        source = self.saved.recipe.embedding
        algorithm = source.algorithm if isinstance(source, FastText) else "skipgram"
        return replace(of_subwords, model=algorithm, loss="negative sampling")


def vec(saved: SavedModel, output: Path, texts: Path | None) -> dict[str, Any]:
    """The vectors of all words, as they are after training."""
    held = Vectors.of(saved, "vec")
    _refuse_texts(texts)
    kept = [number for number, word in enumerate(held.words) if fits_a_line(word)]
    write_vectors(output, [held.words[number] for number in kept], held.of_words[kept], text=True)
    left_out = len(held.words) - len(kept)
    return {"words": len(kept), "dimension": held.of_words.shape[1], "left_out": left_out}


def fasttext(saved: SavedModel, output: Path, texts: Path | None) -> dict[str, Any]:
    """A `.bin`: of FastTextClassifier a supervised model, of other sources one of vectors. `texts`: where to write the
    test split, cut as the model reads it, as the library's own `test` takes it.

    A saved model does not hold how often words and labels were seen, and nothing that is written asks: all say once.
    """
    held = Vectors.of(saved, "fasttext")
    own, settings = held.own(), held.settings()
    if not settings.supervised:
        _refuse_texts(texts)
    labels = [f"{LABEL}{label}" for label in saved.labels] if settings.supervised else []
    weight = np.zeros((len(own), settings.dimension), dtype=np.float32)
    if settings.supervised:
        weight = held.model.classifier.weight.detach().float().numpy()
    half = half_of(output)
    try:
        counts = [1] * len(own), [1] * len(labels)
        write_model(half, settings, own, counts[0], labels, counts[1], held.rows(), weight)
        compared = _labels_compared(held, half, texts) if settings.supervised else _vectors_compared(held, half)
        half.rename(output)
    except ValueError as error:
        raise RecipeError(Problem(f"fastText's format cannot hold this model: {error}")) from None
    finally:
        half.unlink(missing_ok=True)
    return {"words": len(own), "dimension": settings.dimension, **compared}


def _vectors_compared(held: Vectors, output: Path) -> dict[str, Any]:
    """Of all words, by the format's own definition. Raises WorkerError where they differ."""
    difference = float(np.abs(held.of_words - FastTextFile.open(output).vectors(held.words)).max(initial=0.0))
    _refuse(difference, float(np.abs(held.of_words).max(initial=0.0)))
    return {"compared": len(held.words), "largest_difference": difference}


def _labels_compared(held: Vectors, output: Path, texts: Path | None) -> dict[str, Any]:
    """The labels and probabilities of the whole test split, likewise."""
    written = FastTextFile.open(output)
    split = Split.load(Path(prepare(held.saved.recipe)["folder"]) / "test.safetensors")
    ids, equal, difference, written_texts = split.ragged(TOKENS), 0, 0.0, []
    for start in range(0, split.rows, BATCH):
        numbers = np.arange(start, min(start + BATCH, split.rows))
        with torch.inference_mode():
            logits = held.model(torch.from_numpy(ids.padded(numbers, 0))).logits
        lines = [_line(held.tokens, ids.row(number)) for number in numbers.tolist()]
        for ours, told in zip(logits.softmax(-1).numpy(), written.predict(lines, k=-1), strict=True):
            found = dict(told)
            theirs = np.array([found[f"{LABEL}{label}"] for label in held.saved.labels]) - ADDED
            difference = max(difference, float(np.abs(ours - theirs).max()))
            equal += int(ours.argmax() == theirs.argmax())
        written_texts += lines
    _refuse(difference, 1.0)
    if texts is not None:
        rows = zip(split.array("labels").tolist(), written_texts, strict=True)
        texts.write_text("".join(f"{LABEL}{held.saved.labels[n]} {line}\n" for n, line in rows), encoding="utf-8")
    return {"compared": split.rows, "equal_labels": equal, "largest_difference": difference}


def _refuse_texts(texts: Path | None) -> None:
    if texts is not None:
        what = "texts are written beside a model that gives them labels"
        raise RecipeError(Problem(what, do="leave --texts out, or export a run of FastTextClassifier as fasttext"))


def _line(tokens: list[str], numbers: np.ndarray) -> str:
    """A text as fastText reads it: words that white space parts; it adds the end of the line itself."""
    return " ".join(tokens[number] for number in numbers.tolist() if tokens[number] not in (*SPECIAL, END_OF_LINE))


def _refuse(difference: float, size: float) -> None:
    if not difference <= TOLERANCE * max(1.0, size):
        what = f"what was written answers otherwise than the model, by {difference:g}"
        raise WorkerError(Problem(what, do="please report this; nothing was written"))
