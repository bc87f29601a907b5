"""Any number of labels for one text, each decided by itself: binary cross entropy; micro F1, macro F1, exact sets.

Every text is as many targets as there are labels, so the loss is the mean over all decisions. The training loss may
weigh each label's yes against its no, and smooth both; what is measured is the plain one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.training.tasks import Text, class_rows
from launcher.training.tasks.texts import TextsWork, scaled_weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from launcher.recipe.task import MultiLabelClassification
    from launcher.training.data import Row


class Work(TextsWork):
    """See `launcher.training.tasks.TaskWork`."""

    metric_names = ("micro_f1", "macro_f1", "subset_accuracy", "loss")

    weights: Sequence[Sequence[float]] | None = None
    """Of the no and the yes of each label, in the training loss."""
    smoothing = 0.0

    def __init__(self, threshold: float = 0.5):
        self.threshold = threshold

    @classmethod
    def for_training(
        cls, task: MultiLabelClassification, labels: Sequence[str], train: Mapping[str, np.ndarray]
    ) -> Work:
        """With the loss that is trained on; `train` are the columns of the training split."""
        work, wanted = cls(task.threshold), task.class_weights
        work.smoothing = task.label_smoothing
        if wanted is not None:
            decided = train["labels"].reshape(-1, len(labels)).T
            given = [wanted if isinstance(wanted, str) else {"yes": wanted.get(label, 1.0)} for label in labels]
            work.weights = [scaled_weights(of, ("no", "yes"), mine) for of, mine in zip(given, decided, strict=True)]
        return work

    def columns(
        self,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[Row],
        labels: Sequence[str],
        max_length: int,
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Tokens (`texts.token_columns`), `labels` flat [rows x labels] of 0 and 1, `targets` the number of labels."""
        tokens, unseen = self.tokens(tokenizer, rows, max_length)
        numbers = {label: number for number, label in enumerate(labels)}
        wanted = np.zeros((len(rows), len(labels)), dtype=np.int64)
        for place, row in enumerate(rows):
            wanted[place, [numbers[label] for label in row.label]] = 1
        return {
            **tokens,
            "labels": wanted.reshape(-1),
            "targets": np.full(len(rows), len(labels), dtype=np.int64),
        }, unseen

    def batch_labels(self, columns: Mapping[str, np.ndarray], rows: np.ndarray, width: int) -> np.ndarray:
        """int64 [rows, labels] of 0 and 1."""
        wanted: np.ndarray = columns["labels"].reshape(len(columns["targets"]), -1)[rows]
        return wanted

    def loss_sum(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Binary cross entropy of [rows, labels] against [rows, labels], weighted and smoothed, summed."""
        import torch
        from torch.nn import functional

        logits = logits.float()
        wanted = labels.to(logits.dtype) * (1 - self.smoothing) + self.smoothing / 2
        weight = None
        if self.weights is not None:
            no, yes = logits.new_tensor(self.weights).T
            weight = torch.where(labels == 1, yes, no)
        return functional.binary_cross_entropy_with_logits(logits, wanted, weight, reduction="sum")

    def guess(self, logits: torch.Tensor) -> torch.Tensor:
        """1 where a label's probability is above the threshold, else 0; [rows, labels]."""
        return (logits > math.log(self.threshold / (1 - self.threshold))).long()

    def metrics(
        self, columns: Mapping[str, np.ndarray], predicted: np.ndarray, labels: Sequence[str]
    ) -> dict[str, Any]:
        """F1 over all decisions and averaged over labels, texts whose labels are all right, a row for each label."""
        from sklearn.metrics import accuracy_score, classification_report

        gold, told = columns["labels"].reshape(-1, len(labels)), predicted.reshape(-1, len(labels))
        numbers = list(range(len(labels)))
        report = classification_report(
            gold, told, labels=numbers, target_names=list(map(str, numbers)), output_dict=True, zero_division=0.0
        )
        return {
            "micro_f1": float(report["micro avg"]["f1-score"]),
            "macro_f1": float(report["macro avg"]["f1-score"]),
            "subset_accuracy": float(accuracy_score(gold, told)),
            "classes": class_rows({label: report[str(number)] for number, label in enumerate(labels)}),
        }

    def decode(
        self,
        tokenizer: PreTrainedTokenizerBase,
        text: Text,
        logits: np.ndarray,
        labels: Sequence[str],
        encoded: Any,
    ) -> dict[str, Any]:
        """`{"labels": those above the threshold, the likeliest first, "probabilities"}` of one text's [labels]."""
        probabilities = {label: float(p) for label, p in zip(labels, 1 / (1 + np.exp(-logits)), strict=True)}
        found = [label for label in labels if probabilities[label] > self.threshold]
        return {"labels": sorted(found, key=probabilities.__getitem__, reverse=True), "probabilities": probabilities}
