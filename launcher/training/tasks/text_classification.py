"""One label for one text (`one_label`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from launcher.recipe.task import TextClassification
from launcher.training.batches.split import Split
from launcher.training.data import Row
from launcher.training.tasks.base import Text
from launcher.training.tasks.one_label import OneLabelWork
from launcher.training.tasks.texts import TextsWork, row_of


class Work(TextsWork, OneLabelWork):
    """See `launcher.training.tasks.base.TaskWork`."""

    metric_names = tuple(TextClassification.metrics)
    counted = "texts"

    def answers_of(self, examples: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
        """Class numbers, int64 [rows]; one target a row."""
        return self.classes_of(examples)

    def example(self, text: Text) -> Row:
        """See `TaskWork`."""
        return row_of(text, self.labels[0])

    def shown(self, split: Split, row: int) -> str:
        """Its label before its tokens."""
        return " ".join([f"{self.labels[split.array('labels')[row]]}:", *self.tokens_of(split, row)])

    def labelled_tokens(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Every token, with the label of its text."""
        lengths = split.ragged("input_ids").lengths
        return np.arange(int(lengths.sum())), np.repeat(split.array("labels"), lengths)
