"""Any number of labels for one text, each decided by itself: binary cross entropy; micro F1, macro F1, exact sets.

Every text is as many targets as there are labels, so the loss is the mean over all decisions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.training.tasks import Text, class_rows
from launcher.training.tasks.texts import encode, texts_of, token_columns

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from launcher.training.data import Row


class Work:
    """See `launcher.training.tasks.TaskWork`."""

    metric_names = ("micro_f1", "macro_f1", "subset_accuracy", "loss")

    def __init__(self, threshold: float = 0.5, smoothing: float = 0.0):
        self.threshold, self.smoothing = threshold, smoothing

    def columns(
        self,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[Row],
        labels: Sequence[str],
        max_length: int,
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Tokens (`texts.token_columns`), `labels` flat [rows x labels] of 0 and 1, `targets` the number of labels."""
        encoded = self.encode(tokenizer, texts_of(rows), max_length)
        wanted = np.array([[label in row.label for label in labels] for row in rows], dtype=np.int64)
        return {
            **token_columns(tokenizer, encoded),
            "labels": wanted.reshape(-1),
            "targets": np.full(len(rows), len(labels), dtype=np.int64),
        }, {"truncated": sum(bool(encoding.overflowing) for encoding in encoded)}

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], max_length: int) -> Any:
        """One fast encoding a text, cut at `max_length`."""
        return encode(tokenizer, texts, max_length)

    def batch_labels(self, columns: Mapping[str, np.ndarray], rows: np.ndarray, width: int) -> np.ndarray:
        """int64 [rows, labels] of 0 and 1."""
        wanted: np.ndarray = columns["labels"].reshape(len(columns["targets"]), -1)[rows]
        return wanted

    def loss_sum(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Binary cross entropy of [rows, labels] against [rows, labels], smoothed, summed."""
        from torch.nn import functional

        logits = logits.float()
        wanted = labels.to(logits.dtype) * (1 - self.smoothing) + self.smoothing / 2
        return functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")

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
            gold, told, labels=numbers, target_names=list(labels), output_dict=True, zero_division=0.0
        )
        return {
            "micro_f1": float(report["micro avg"]["f1-score"]),
            "macro_f1": float(report["macro avg"]["f1-score"]),
            "subset_accuracy": float(accuracy_score(gold, told)),
            "classes": class_rows({label: report[label] for label in labels}),
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
