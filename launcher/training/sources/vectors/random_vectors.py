"""Vectors drawn from a normal distribution: the baseline that every other source is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.recipe.source import RandomVectors
from launcher.recipe.task import PlainTask
from launcher.training.sources.static import vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def build_tokenizer(
    embedding: RandomVectors, task: PlainTask, sentences: Iterable[str | tuple[str, ...]], folder: Path
) -> int:
    """Save a tokenizer over the training split's tokens; return the longest input in tokens."""
    words = vocabulary.Words(embedding, task)
    words.count(sentences)
    return words.save(words.known(), folder)


def build_model(
    embedding: RandomVectors, task: PlainTask, labels: Sequence[str], folder: Path, dropout: float | None
) -> PreTrainedModel:
    """A static model whose table is drawn from torch's global generator."""
    from launcher.training.sources.static import static_model

    shape = (vocabulary.vocabulary_size(folder), embedding.dimension)
    return static_model.build(embedding, task, labels, shape, folder, dropout)
