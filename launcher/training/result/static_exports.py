"""Models of static vectors in the formats of fastText: its `.bin`, which the official library loads, and `.vec`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from launcher.errors import Problem, RecipeError, WorkerError
from launcher.recipe.source import FastText
from launcher.training.batches.split import TOKENS, Split
from launcher.training.fasttext.model_file import FastTextFile
from launcher.training.fasttext.settings import Settings
from launcher.training.fasttext.subwords import END_OF_LINE
from launcher.training.fasttext.writing import write_model
from launcher.training.model_parts.sparse_table import base_of
from launcher.training.prepare import prepare
from launcher.training.result.model_folder import SavedModel
from launcher.training.sources.static.fasttext_classifier import FastTextClassifierModel
from launcher.training.sources.static.static_model import StaticVectorsModel
from launcher.training.sources.static.subword_rows import SubwordRows
from launcher.training.sources.static.subword_table import SubwordTable, vectors_of
from launcher.training.sources.static.vocabulary import SPECIAL
from launcher.training.sources.vectors.vec_writing import write_vec

LABEL = "__label__"
"""What fastText's labels begin with."""
BLOCK = 2**16
TOLERANCE = 1e-5


def vec(saved: SavedModel, output: Path) -> dict[str, Any]:
    """The vectors of all words, as they are after training."""
    model, words = _static(saved, "vec"), _words(saved)
    vectors = vectors_of(model.embeddings, len(words))[len(SPECIAL) :]
    left_out = write_vec(output, words[len(SPECIAL) :], vectors / _scale(model))
    written = len(vectors) - left_out
    return {"words": written, "dimension": int(vectors.shape[1]), "left_out": left_out}


def fasttext(saved: SavedModel, output: Path) -> dict[str, Any]:
    """A `.bin`: of FastTextClassifier a supervised model, of other sources one of vectors."""
    model, words = _static(saved, "fasttext"), _words(saved)
    known = _known(model, len(words))
    own = _own(known, words)
    rows = _rows(model, known)
    labels = [f"{LABEL}{label}" for label in saved.labels] if isinstance(model, FastTextClassifierModel) else []
    weights = model.classifier.weight.detach().float().numpy() if labels else np.zeros((len(own), rows.shape[1]))
    try:
        write_model(
            output,
            _settings(saved, model, known, rows.shape[1]),
            own,
            [1] * len(own),  # a saved model does not hold how often words were seen, and no softmax asks
            labels,
            [1] * len(labels),
            _blocks(rows / np.float32(_scale(model)), known),
            weights.astype(np.float32),
        )
    except ValueError as error:
        raise RecipeError(Problem(f"fastText's format cannot hold this model: {error}")) from None
    try:
        return {"words": len(own), "dimension": int(rows.shape[1]), **_compared(saved, model, words, output)}
    except BaseException:
        output.unlink(missing_ok=True)
        raise


def _static(saved: SavedModel, kind: str) -> StaticVectorsModel:
    model = base_of(saved.model)
    if not isinstance(model, StaticVectorsModel):
        what = f"the run's model is {saved.recipe.embedding.kind}, which has no vectors of words"
        raise RecipeError(Problem(what, do=f"the format {kind} is for static vectors, such as FastText's"))
    return model


def _words(saved: SavedModel) -> list[str]:
    """By their numbers."""
    numbers = saved.work.tokenizer.get_vocab()
    return sorted(numbers, key=lambda word: numbers[word])


def _known(model: StaticVectorsModel, tokens: int) -> SubwordRows | None:
    table = next((module for module in model.modules() if isinstance(module, SubwordTable)), None)
    return None if table is None else table.known()


def _own(known: SubwordRows | None, words: list[str]) -> list[str]:
    """The words that have a row of their own, in the order of these."""
    if known is None:
        return words[len(SPECIAL) :]
    first = known.rows.offsets[:-1]
    there = np.flatnonzero(known.rows.lengths > 0)
    row = np.zeros(len(words), dtype=np.int64)
    row[there] = known.rows.values[first[there]]
    mine = np.flatnonzero((row > 0) & (row <= known.own))
    return [words[number] for number in mine[np.argsort(row[mine])]]


def _rows(model: StaticVectorsModel, known: SubwordRows | None) -> np.ndarray:
    """The table's rows without the first, or the first two: those of own words, then those of buckets."""
    table: Any = next((m for m in model.modules() if isinstance(m, SubwordTable)), None)
    if table is None or known is None:
        return vectors_of(model.embeddings, model.config.vocab_size)[len(SPECIAL) :]
    return vectors_of(table.rows, known.size)[1:]


def _scale(model: StaticVectorsModel) -> float:
    known = _known(model, 0)
    return 1.0 if known is None else known.scale


def _settings(saved: SavedModel, model: StaticVectorsModel, known: SubwordRows | None, dimension: int) -> Settings:
    if isinstance(model, FastTextClassifierModel):
        assert known is not None
        given = known.subwords
        return Settings(
            dimension,
            buckets=model.config.buckets,
            shortest_subword=given.shortest,
            longest_subword=given.longest,
            word_ngrams=model.config.word_ngrams,
        )
    source = saved.recipe.embedding
    algorithm = source.algorithm if isinstance(source, FastText) else "skipgram"
    if known is None:
        return Settings(dimension, model=algorithm, loss="negative sampling")
    given = known.subwords
    return Settings(dimension, algorithm, "negative sampling", given.buckets, given.shortest, given.longest)


def _blocks(rows: np.ndarray, known: SubwordRows | None) -> Iterator[np.ndarray]:
    """A row for each word, then one for each bucket, zeros for those that training never named."""
    if known is None:
        yield rows
        return
    yield rows[: known.own]
    buckets = max(known.subwords.buckets, int(known.buckets.max(initial=-1)) + 1)
    for start in range(0, buckets, BLOCK):
        block = np.zeros((min(BLOCK, buckets - start), rows.shape[1]), dtype=np.float32)
        low, high = np.searchsorted(known.buckets, [start, start + len(block)])
        block[known.buckets[low:high] - start] = rows[known.own + low : known.own + high]
        yield block


def _compared(saved: SavedModel, model: StaticVectorsModel, words: list[str], output: Path) -> dict[str, Any]:
    """How the written file differs from the model, read by the format's own definition. Raises WorkerError."""
    written = FastTextFile.open(output)
    if not isinstance(model, FastTextClassifierModel):
        ours = vectors_of(model.embeddings, len(words))[len(SPECIAL) :] / _scale(model)
        theirs = written.vectors(words[len(SPECIAL) :])
        difference = float(np.abs(ours - theirs).max(initial=0.0))
        _refuse(difference, float(np.abs(ours).max(initial=1.0)), output)
        return {"compared": len(ours), "largest_difference": difference}
    split = Split.load(Path(prepare(saved.recipe)["folder"]) / "test.safetensors")
    equal, difference = 0, 0.0
    for start in range(0, split.rows, BATCH):
        numbers = np.arange(start, min(start + BATCH, split.rows))
        ids = torch.from_numpy(split.ragged(TOKENS).padded(numbers, 0))
        with torch.inference_mode():
            ours = model(ids).logits.softmax(-1).numpy()
        lines = [_line(words, split.ragged(TOKENS).row(number)) for number in numbers.tolist()]
        for mine, theirs in zip(ours, written.predict(lines, k=-1), strict=True):
            found = dict(theirs)
            probabilities = np.array([found[f"{LABEL}{label}"] for label in saved.labels])
            difference = max(difference, float(np.abs(mine - probabilities).max()))
            equal += int(mine.argmax() == probabilities.argmax())
    _refuse(difference, 1.0, output)
    return {"compared": split.rows, "equal_labels": equal, "largest_difference": difference}


BATCH = 256


def _line(words: list[str], tokens: np.ndarray) -> str:
    """A text as fastText reads it: words that white space parts; it adds the end of the line itself."""
    return " ".join(words[number] for number in tokens.tolist() if words[number] not in (*SPECIAL, END_OF_LINE))


def _refuse(difference: float, size: float, output: Path) -> None:
    if not difference <= TOLERANCE * max(1.0, size):
        what = f"what was written answers otherwise than the model, by {difference:g}"
        raise WorkerError(Problem(what, str(output), "please report this; the file was removed"))
