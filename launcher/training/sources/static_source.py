"""From a static source to a model: the one question that each of them answers, and all that follows from the answer.

    table(source, words, sentences) -> Table     in `prepare`, once: the vectors of the training split's tokens

`words` has still to count the sentences, by `words.count(sentences)` or as it cuts them, and then names the tokens
(`words.known()`). This is the one `match` over the static sources; the vectors lie in the folder of the prepared data
until a model is built, and saved models have them as weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from launcher.recipe.source import (
    CustomEmbedding,
    EmbeddingMatrix,
    FastText,
    FastTextClassifier,
    Mixture,
    RandomVectors,
    WordVectors,
)
from launcher.recipe.task import PlainTask
from launcher.training.sources.static.table import VECTORS, Table
from launcher.training.sources.static.vocabulary import Words, new_tokens, vocabulary_size

if TYPE_CHECKING:
    from launcher.training.sources.static.static_model import StaticVectorsModel

StaticSource = FastText | FastTextClassifier | WordVectors | EmbeddingMatrix | Mixture | RandomVectors | CustomEmbedding
Sentences = Iterable[str | tuple[str, ...]]


def save(source: StaticSource, task: PlainTask, sentences: Sentences, folder: Path, others: Sentences = ()) -> int:
    """Save the source's tokenizer and vectors below `folder`; return the longest input in tokens.

    `others` are texts that are not trained on: a table of subwords has vectors for their words too.
    """
    words = Words(source, task)
    table = _table(source, words, sentences)
    if table.rows is not None and table.tokens is not None:
        new = new_tokens(table.tokens, Words(source, task).cut(others))
        table.rows.with_new(new).save(folder)
        table = table._replace(tokens=[*table.tokens, *new])
    if table.vectors is not None:
        import numpy as np
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        widths = {"widths": np.array(table.widths)} if table.widths else {}
        save_file({"vectors": table.vectors, **widths}, folder / VECTORS)
    tokens = words.known() if table.tokens is None else table.tokens
    return words.save(tokens, folder, table.counts, table.lines)


def build_model(
    source: StaticSource, task: PlainTask, labels: Sequence[str], folder: Path, dropout: float | None
) -> StaticVectorsModel:
    """A static model whose table starts as the vectors saved below `folder`, or is drawn from torch's generator."""
    from safetensors.torch import load_file

    from launcher.training.sources.static.building import build

    if isinstance(source, RandomVectors | FastTextClassifier):
        shape = (vocabulary_size(folder), source.dimension)
        return build(source, task, labels, shape, folder, dropout)
    tensors = load_file(folder / VECTORS)
    if isinstance(source, Mixture):
        from launcher.training.sources.vectors import mixture

        tensors["vectors"] = mixture.drawn(source, tensors["vectors"], tensors["widths"].tolist())
    return build(source, task, labels, tensors["vectors"], folder, dropout)


def _table(source: StaticSource, words: Words, sentences: Sentences) -> Table:
    match source:
        case FastText():
            from launcher.training.sources.vectors import fasttext_vectors

            return fasttext_vectors.table(source, words, sentences)
        case FastTextClassifier():
            from launcher.training.sources.static import word_ngrams

            return word_ngrams.table(source, words, sentences)
        case WordVectors():
            from launcher.training.sources.vectors import word_vectors

            return word_vectors.table(source, words, sentences)
        case EmbeddingMatrix():
            from launcher.training.sources.vectors import embedding_matrix

            return embedding_matrix.table(source, words, sentences)
        case Mixture():
            from launcher.training.sources.vectors import mixture

            tables = [(each, _table(each, Words(each, words.task), sentences)) for each in mixture.alike(source)]
            words.count(sentences)
            return mixture.table(tables, words)
        case RandomVectors():
            words.count(sentences)
            return Table(None, {})
        case CustomEmbedding():
            from launcher.training.sources.vectors import user_vectors

            return user_vectors.table(source, words, sentences)
        case _:
            assert_never(source)
