"""One label for one text: cross entropy over the classes; accuracy and macro F1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.training.confusion import Confusion, of_targets
from launcher.training.tasks import class_rows, flat

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from launcher.training.data import Row


class Work:
    """See `launcher.training.tasks.TaskWork`."""

    metric_names = ("accuracy", "macro_f1", "loss")

    def columns(
        self,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[Row],
        labels: Sequence[str],
        max_length: int,
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """`input_ids` flat with `offsets`, `labels` [rows], `targets` [rows] all one."""
        encoded = self.encode(tokenizer, [str(row.text) for row in rows], max_length)
        numbers = {label: number for number, label in enumerate(labels)}
        input_ids, offsets = flat([encoding.ids or [tokenizer.unk_token_id] for encoding in encoded])
        return {
            "input_ids": input_ids,
            "offsets": offsets,
            "labels": np.array([numbers[str(row.label)] for row in rows], dtype=np.int64),
            "targets": np.ones(len(rows), dtype=np.int64),
        }, {"truncated": sum(bool(encoding.overflowing) for encoding in encoded)}

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int) -> Any:
        """One fast encoding a text, cut at `max_length`."""
        if not texts:
            return []
        return tokenizer(list(texts), truncation=True, max_length=max_length).encodings

    def batch_labels(self, columns: Mapping[str, np.ndarray], rows: np.ndarray, width: int) -> np.ndarray:
        """int64 [rows]."""
        return columns["labels"][rows]

    def loss_sum(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross entropy of [rows, classes] against [rows], summed."""
        from torch.nn import functional

        return functional.cross_entropy(logits.float(), labels, reduction="sum", ignore_index=-100)

    def metrics(
        self, columns: Mapping[str, np.ndarray], predicted: np.ndarray, labels: Sequence[str]
    ) -> dict[str, Any]:
        """Accuracy, macro F1, and precision, recall, F1, support of each class."""
        from sklearn.metrics import accuracy_score, classification_report

        gold, numbers = columns["labels"], list(range(len(labels)))
        report = classification_report(
            gold, predicted, labels=numbers, target_names=list(labels), output_dict=True, zero_division=0.0
        )
        return {
            "accuracy": float(accuracy_score(gold, predicted)),
            "macro_f1": float(report["macro avg"]["f1-score"]),
            "classes": class_rows({label: report[label] for label in labels}),
        }

    def confusions(
        self, columns: Mapping[str, np.ndarray], predicted: np.ndarray, labels: Sequence[str]
    ) -> Iterator[Confusion]:
        """Of texts."""
        yield of_targets("texts", columns["labels"], predicted, labels)

    def decode(
        self,
        tokenizer: PreTrainedTokenizerBase,
        text: str,
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
