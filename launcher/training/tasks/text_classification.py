"""One label for one text: cross entropy over the classes; accuracy and macro F1.

The training loss may weigh the classes and smooth the targets; what is measured is the plain cross entropy, so that it
compares from run to run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.training.tasks import Text, class_rows
from launcher.training.tasks.confusion import Confusion, of_targets
from launcher.training.tasks.texts import TextsWork, scaled_weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from launcher.recipe.task import TextClassification
    from launcher.training.data import Row


class Work(TextsWork):
    """See `launcher.training.tasks.TaskWork`."""

    metric_names = ("accuracy", "macro_f1", "loss")
    weights: Sequence[float] | None = None
    """Of each class, in the training loss."""
    smoothing = 0.0

    @classmethod
    def for_training(cls, task: TextClassification, labels: Sequence[str], train: Mapping[str, np.ndarray]) -> Work:
        """With the loss that is trained on; `train` are the columns of the training split."""
        work = cls()
        work.smoothing = task.label_smoothing
        if task.class_weights is not None:
            work.weights = scaled_weights(task.class_weights, labels, train["labels"])
        return work

    def columns(
        self,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[Row],
        labels: Sequence[str],
        max_length: int,
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Tokens (`texts.token_columns`), `labels` [rows], `targets` [rows] all one."""
        tokens, unseen = self.tokens(tokenizer, rows, max_length)
        numbers = {label: number for number, label in enumerate(labels)}
        return {
            **tokens,
            "labels": np.array([numbers[str(row.label)] for row in rows], dtype=np.int64),
            "targets": np.ones(len(rows), dtype=np.int64),
        }, unseen

    def batch_labels(self, columns: Mapping[str, np.ndarray], rows: np.ndarray, width: int) -> np.ndarray:
        """int64 [rows]."""
        wanted: np.ndarray = columns["labels"][rows]
        return wanted

    def loss_sum(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross entropy of [rows, classes] against [rows], weighted and smoothed, summed."""
        from torch.nn import functional

        logits = logits.float()
        weight = None if self.weights is None else logits.new_tensor(self.weights)
        return functional.cross_entropy(logits, labels, weight, reduction="sum", label_smoothing=self.smoothing)

    def guess(self, logits: torch.Tensor) -> torch.Tensor:
        """The likeliest class of each row, [rows]."""
        return logits.argmax(dim=-1)

    def metrics(
        self, columns: Mapping[str, np.ndarray], predicted: np.ndarray, labels: Sequence[str]
    ) -> dict[str, Any]:
        """Accuracy, macro F1, and precision, recall, F1, support of each class."""
        from sklearn.metrics import accuracy_score, classification_report

        gold, numbers = columns["labels"], list(range(len(labels)))
        report = classification_report(
            gold, predicted, labels=numbers, target_names=list(map(str, numbers)), output_dict=True, zero_division=0.0
        )
        return {
            "accuracy": float(accuracy_score(gold, predicted)),
            "macro_f1": float(report["macro avg"]["f1-score"]),
            "classes": class_rows({label: report[str(number)] for number, label in enumerate(labels)}),
        }

    def confusions(
        self, columns: Mapping[str, np.ndarray], predicted: np.ndarray, labels: Sequence[str]
    ) -> Iterator[Confusion]:
        """Of texts."""
        yield of_targets("texts", columns["labels"], predicted, labels)

    def decode(
        self,
        tokenizer: PreTrainedTokenizerBase,
        text: Text,
        logits: np.ndarray,
        labels: Sequence[str],
        encoded: Any,
    ) -> dict[str, Any]:
        """`{"label", "probability", "probabilities"}` of one text from its logits [classes]."""
        shifted = np.exp(logits - logits.max())
        probabilities = shifted / shifted.sum()
        best = int(probabilities.argmax())
        return {
            "label": labels[best],
            "probability": float(probabilities[best]),
            "probabilities": {label: float(p) for label, p in zip(labels, probabilities, strict=True)},
        }
