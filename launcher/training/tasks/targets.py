"""What the tasks share that write a text for a text: translation and summarisation."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np

from launcher.errors import Problem
from launcher.recipe.task import Summarisation, Translation
from launcher.recipe.writing_tasks import Writing
from launcher.training.batches.split import Ragged, Split
from launcher.training.data import Row, scripts
from launcher.training.tasks.base import Reader
from launcher.training.tasks.words_said import WordsWork
from launcher.training.tasks.writing import Writes
from launcher.training.tasks.written_scores import summary_scores, translation_scores

REFERENCES = "references"
"""The column of the texts that are right, as the bytes of a list in JSON."""
CHINESE = "我们"
"""Looked at to know whether a tokenizer puts white space between the characters that it decodes."""


class TargetsWork(WordsWork, Writes):
    """See `launcher.training.tasks.base.TaskWork`."""

    def __init__(self, task: Translation | Summarisation, reader: Reader):
        super().__init__(task, reader)
        self.noun: Writing = task
        self.metric_names = tuple(task.metrics)

    def for_training(self, train: Split) -> Self:
        """With label smoothing."""
        trained = copy.copy(self)
        trained.smoothing = self.noun.label_smoothing
        return trained

    def problems(self) -> Iterator[Problem]:
        """A tokenizer without an end."""
        if not self.ends:
            what = "the model's tokenizer has no token for the end of a text, so nothing that it writes would end"
            yield Problem(what, "embedding.model", "take a model that has one: eos_token or sep_token")

    @property
    def end(self) -> int:
        """The token with which a target ends."""
        return self.ends[0] if self.ends else 0

    @property
    def longest(self) -> int:
        """What the recipe says: texts and templates leave room for it."""
        return self.generation.max_new_tokens

    def written(self, ids: np.ndarray) -> str:
        """The text of these tokens, without those that are no text."""
        how = {"skip_special_tokens": True, "clean_up_tokenization_spaces": self.parts_characters}
        text = str(self.tokenizer.decode(ids.tolist(), **how))
        return (_joined(text) if self.parts_characters else text).strip()

    def references(self, split: Split, rows: np.ndarray) -> list[str]:
        """The first of the texts that are right."""
        return [right[0] for right in _right(split, rows)]

    def score_texts(self, split: Split, rows: np.ndarray, texts: Sequence[str]) -> dict[str, Any]:
        """BLEU and chrF, or ROUGE; see `written_scores`."""
        right = _right(split, rows)
        if isinstance(self.noun, Translation):
            return translation_scores(texts, right, self.noun.target_language)
        return summary_scores(texts, right)

    @cached_property
    def parts_characters(self) -> bool:
        """Whether the tokenizer's pieces know nothing of white space, as those of BERT."""
        ids = self.tokenizer(CHINESE, add_special_tokens=False)["input_ids"]
        return CHINESE not in str(self.tokenizer.decode(ids))


def references_of(examples: Sequence[Row]) -> Ragged:
    """The column of the texts that are right."""
    return Ragged.of([json.dumps(row.labels, ensure_ascii=False).encode() for row in examples], np.uint8)


def _right(split: Split, rows: np.ndarray) -> list[Sequence[str]]:
    return [json.loads(split.ragged(REFERENCES).row(row).tobytes()) for row in rows]


def _joined(text: str) -> str:
    """Without the spaces between characters that no language parts."""
    words = text.split(" ")
    joined = words[0]
    for before, word in itertools.pairwise(words):
        joined += word if before and word and scripts.joins(before[-1], word[0]) else f" {word}"
    return joined
