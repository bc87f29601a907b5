"""One label for each row, whatever a row is: cross entropy over the classes; accuracy and macro F1.

The training loss may weigh the classes and smooth the targets; what is measured is the plain cross entropy, so that it
compares from run to run.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from launcher.recipe.task import ImageClassification, RelationExtraction, TextClassification
from launcher.training.batches.split import Split, as_array
from launcher.training.data import Row
from launcher.training.tasks.base import Kept, Text
from launcher.training.tasks.texts import LabelsWork, class_rows, on_host, report_of, scaled_weights
from launcher.training.tasks.views import AgainstTheRest, View, of_targets

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors


class OneLabelWork(LabelsWork):
    """A row's class number is in the column `labels`, int64 [rows]; the model gives logits [rows, classes]."""

    counted = "rows"
    """What figures say that a row is."""
    weights: Sequence[float] | None = None
    """Of each class, in the training loss."""
    smoothing = 0.0

    def for_training(self, train: Split) -> Self:
        """With the task's class weights and its smoothing."""
        work, task = copy.copy(self), self.task
        assert isinstance(task, TextClassification | RelationExtraction | ImageClassification)
        work.smoothing = task.label_smoothing
        if task.class_weights is not None:
            work.weights = scaled_weights(task.class_weights, self.labels, train.array("labels"))
        return work

    def classes_of(self, examples: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
        """Class numbers, int64 [rows]; one target a row."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        classes = np.array([numbers[str(row.label)] for row in examples], dtype=np.int64)
        return classes, np.ones(len(examples), dtype=np.int64)

    def logits(self, outputs: Tensors) -> torch.Tensor:
        """One number for each class, float32 [rows, classes]."""
        return outputs["logits"].float()

    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """Cross entropy of [rows, classes] against [rows], weighted and smoothed."""
        from torch.nn import functional

        logits = self.logits(outputs)
        weight = None if self.weights is None else logits.new_tensor(self.weights)
        loss = functional.cross_entropy(
            logits, wanted["labels"], weight, reduction="sum", label_smoothing=self.smoothing
        )
        return {"loss": loss}

    def divergence(self, one: Tensors, other: Tensors, wanted: Tensors) -> torch.Tensor:
        """Between the classes."""
        from launcher.training.tasks.divergence import of_classes

        return of_classes(self.logits(one), self.logits(other)).sum()

    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, np.ndarray]:
        """`predicted`, the likeliest class of each row, int32 [rows]."""
        return {"predicted": on_host(self.logits(outputs).argmax(dim=-1), np.int32)}

    def detail(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, np.ndarray]:
        """`probabilities`, float32 [rows, classes]."""
        return {"probabilities": on_host(self.logits(outputs).softmax(dim=-1), np.float32)}

    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """Accuracy, macro F1 and a row for each class.

        Macro F1 is the mean over the classes that are expected or predicted, as scikit-learn's is: a class that only an
        earlier run had says nothing about these rows.
        """
        from sklearn.metrics import accuracy_score

        gold, predicted = split.array("labels"), as_array(kept.values["predicted"])
        report, there = report_of(gold, predicted, len(self.labels)), np.union1d(gold, predicted)
        return {
            "accuracy": float(accuracy_score(gold, predicted)),
            "macro_f1": float(np.mean([report[str(number)]["f1-score"] for number in there])),
            "classes": class_rows({label: report[str(number)] for number, label in enumerate(self.labels)}),
        }

    def views(self, split: Split, kept: Kept) -> Iterator[View]:
        """What was taken for what, and each class against the rest."""
        gold = split.array("labels")
        yield of_targets(self.counted, gold, as_array(kept.values["predicted"]), self.labels)
        if kept.details:
            gold, scores = gold[kept.detailed], as_array(kept.details["probabilities"])
            classes = {label: (gold == number, scores[:, number]) for number, label in enumerate(self.labels)}
            yield AgainstTheRest(self.counted, classes)

    def tell(self, text: Text, split: Split, rows: np.ndarray, kept: Kept) -> dict[str, Any]:
        """`{"label", "probability", "probabilities"}` of one row."""
        probabilities = as_array(kept.details["probabilities"])[rows[0]]
        best = int(probabilities.argmax())
        return {
            "label": self.labels[best],
            "probability": float(probabilities[best]),
            "probabilities": {label: float(p) for label, p in zip(self.labels, probabilities, strict=True)},
        }
