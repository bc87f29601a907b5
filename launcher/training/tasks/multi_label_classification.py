"""Any number of labels for one text, each decided by itself: binary cross entropy; micro F1, macro F1, exact sets.

Every text is as many targets as there are labels, so the loss is the mean over all decisions. The training loss may
weigh each label's yes against its no, and smooth both; what is measured is the plain one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from launcher.recipe.task import MultiLabelClassification
from launcher.training.batches.split import Split, as_array
from launcher.training.data import Row
from launcher.training.tasks.base import Kept, Text
from launcher.training.tasks.texts import TextsWork, class_rows, on_host, report_of, row_of, scaled_weights
from launcher.training.tasks.views import AgainstTheRest, View

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors


class Work(TextsWork):
    """See `launcher.training.tasks.base.TaskWork`."""

    metric_names = tuple(MultiLabelClassification.metrics)
    weights: Sequence[Sequence[float]] | None = None
    """Of the no and the yes of each label, in the training loss."""
    smoothing = 0.0

    @property
    def threshold(self) -> float:
        """Probability above which a text has a label."""
        assert isinstance(self.task, MultiLabelClassification)
        return self.task.threshold

    def for_training(self, train: Split) -> Self:
        """With the task's class weights and its smoothing."""
        work, task = copy.copy(self), self.task
        assert isinstance(task, MultiLabelClassification)
        work.smoothing, wanted = task.label_smoothing, task.class_weights
        if wanted is not None:
            decided = train.array("labels").T
            given = [wanted if isinstance(wanted, str) else {"yes": wanted.get(label, 1.0)} for label in self.labels]
            work.weights = [scaled_weights(of, ("no", "yes"), mine) for of, mine in zip(given, decided, strict=True)]
        return work

    def answers_of(self, examples: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
        """0 and 1, int64 [rows, labels]; as many targets a row as there are labels."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        decided = np.zeros((len(examples), len(self.labels)), dtype=np.int64)
        for index, row in enumerate(examples):
            decided[index, [numbers[label] for label in row.label]] = 1
        return decided, np.full(len(examples), len(self.labels), dtype=np.int64)

    def example(self, text: Text) -> Row:
        """See `TaskWork`."""
        return row_of(text, ())

    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """Binary cross entropy of [rows, labels] against [rows, labels], weighted and smoothed."""
        import torch
        from torch.nn import functional

        logits, labels = outputs["logits"].float(), wanted["labels"]
        targets = labels.to(logits.dtype) * (1 - self.smoothing) + self.smoothing / 2
        weight = None
        if self.weights is not None:
            no, yes = logits.new_tensor(self.weights).T
            weight = torch.where(labels == 1, yes, no)
        return {"loss": functional.binary_cross_entropy_with_logits(logits, targets, weight, reduction="sum")}

    def divergence(self, one: Tensors, other: Tensors, wanted: Tensors) -> torch.Tensor:
        """Between yes and no of each label."""
        from launcher.training.tasks.divergence import of_decisions

        return of_decisions(one["logits"].float(), other["logits"].float()).sum()

    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, np.ndarray]:
        """`predicted`: 1 where a label's probability is above the threshold, else 0; int8 [rows, labels]."""
        least = math.log(self.threshold / (1 - self.threshold))
        return {"predicted": on_host(outputs["logits"] > least, np.int8)}

    def detail(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, np.ndarray]:
        """`probabilities` of yes, float32 [rows, labels]."""
        return {"probabilities": on_host(outputs["logits"].float().sigmoid(), np.float32)}

    def numbers_in_detail(self, split: Split) -> int:
        """One a decision."""
        return split.rows * len(self.labels)

    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """F1 over all decisions and averaged over labels, texts whose labels are all right, a row for each label."""
        from sklearn.metrics import accuracy_score

        gold, predicted = split.array("labels"), as_array(kept.values["predicted"])
        report = report_of(gold, predicted, len(self.labels))
        return {
            "micro_f1": float(report["micro avg"]["f1-score"]),
            "macro_f1": float(report["macro avg"]["f1-score"]),
            "subset_accuracy": float(accuracy_score(gold, predicted)),
            "classes": class_rows({label: report[str(number)] for number, label in enumerate(self.labels)}),
        }

    def views(self, split: Split, kept: Kept) -> Iterator[View]:
        """Each label against its absence; labels are not taken for each other."""
        if kept.details:
            gold, scores = split.array("labels")[kept.detailed], as_array(kept.details["probabilities"])
            classes = {label: (gold[:, column] == 1, scores[:, column]) for column, label in enumerate(self.labels)}
            yield AgainstTheRest("texts", classes)

    def class_name(self, number: int | None) -> str:
        """Of a decision."""
        return "" if number is None else ("no", "yes")[number]

    def tell(self, text: Text, split: Split, rows: np.ndarray, kept: Kept) -> dict[str, Any]:
        """`{"labels": those above the threshold, the likeliest first, "probabilities"}` of one text."""
        scores = as_array(kept.details["probabilities"])[rows[0]]
        probabilities = {label: float(p) for label, p in zip(self.labels, scores, strict=True)}
        chosen = [label for label in self.labels if probabilities[label] > self.threshold]
        return {"labels": sorted(chosen, key=probabilities.__getitem__, reverse=True), "probabilities": probabilities}

    def for_readers(self) -> dict[str, Any]:
        """See `TaskWork`."""
        return {"threshold": self.threshold}

    def labelled_tokens(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Every token once for each label of its text."""
        lengths = split.ragged("input_ids").lengths
        indices, numbers = np.repeat(split.array("labels"), lengths, axis=0).nonzero()
        return indices, numbers

    def shapes(self, rows: int, length: int) -> Mapping[str, tuple[int, ...]]:
        """A decision for each label."""
        return {"labels": (rows, len(self.labels))}
