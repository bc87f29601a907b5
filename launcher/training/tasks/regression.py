"""One number for one text or a pair of texts: squared error; Spearman's and Pearson's correlation, mean absolute error.

A correlation is between the predicted and the right numbers. It has no value (NaN) where either are all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.recipe.metrics import written
from launcher.recipe.task import Regression
from launcher.training.batches.split import Split, as_array
from launcher.training.data import Row
from launcher.training.tasks.base import Kept, Text
from launcher.training.tasks.texts import TextsWork, on_host, row_of

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors


class Work(TextsWork):
    """See `launcher.training.tasks.base.TaskWork`. The label set is one name, that of the model's one output."""

    metric_names = tuple(Regression.metrics)

    def answers_of(self, examples: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
        """The numbers themselves, float32 [rows], in which the loss is taken; one target a row."""
        numbers = np.array([float(str(row.label)) for row in examples], dtype=np.float32)
        return numbers, np.ones(len(examples), dtype=np.int64)

    def example(self, text: Text) -> Row:
        """See `TaskWork`."""
        return row_of(text, "0")

    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """Squared error of [rows, 1] against [rows]."""
        from torch.nn import functional

        return {"loss": functional.mse_loss(_numbers(outputs), wanted["labels"].float(), reduction="sum")}

    def divergence(self, one: Tensors, other: Tensors, wanted: Tensors) -> torch.Tensor:
        """Between normal distributions of variance 1/2 around the numbers: those of which the squared error is the
        negative log likelihood.
        """
        return (_numbers(one) - _numbers(other)).square().sum()

    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, np.ndarray]:
        """`predicted`, the number of each row, float32 [rows]."""
        return {"predicted": on_host(_numbers(outputs), np.float32)}

    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """Both correlations and the mean absolute error."""
        gold = split.array("labels").astype(np.float64)
        predicted = as_array(kept.values["predicted"]).astype(np.float64)
        spearman, pearson = correlations(gold, predicted)
        return {
            "spearman": spearman,
            "pearson": pearson,
            "mean_absolute_error": float(np.abs(gold - predicted).mean()),
        }

    def only_answer(self, split: Split, kept: Kept) -> str:
        """See `TaskWork`."""
        different = np.unique(as_array(kept.values["predicted"]))
        several = len(np.unique(split.array("labels"))) > 1
        return f"{different[0]:.6g}" if len(different) == 1 and several else ""

    def tell(self, text: Text, split: Split, rows: np.ndarray, kept: Kept) -> dict[str, Any]:
        """`{"number"}` of one text."""
        return {"number": float(as_array(kept.values["predicted"])[rows[0]])}

    def printed(self, text: str, answer: Mapping[str, Any], top: int | None) -> str:
        """The number before the text."""
        if "number" not in answer:
            return super().printed(text, answer, top)
        return f"{written(answer['number'])}\t{text}"

    def shown(self, split: Split, row: int) -> str:
        """Its number before its tokens."""
        return " ".join([f"{split.array('labels')[row]:.6g}:", *self.tokens_of(split, row)])


def correlations(gold: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Spearman's and Pearson's, of float64 [n] with [n]; NaN where one is the same throughout, or not finite."""
    if any(len(np.unique(side)) < 2 or not np.isfinite(side).all() for side in (gold, predicted)):
        return math.nan, math.nan
    return float(np.corrcoef(ranks(gold), ranks(predicted))[0, 1]), float(np.corrcoef(gold, predicted)[0, 1])


def ranks(numbers: np.ndarray) -> np.ndarray:
    """The rank of each number, from 1; equal ones share the mean of their ranks. float64 [n]."""
    _, which, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    shared: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return shared


def _numbers(outputs: Tensors) -> torch.Tensor:
    """[rows, 1] as float32 [rows]."""
    return outputs["logits"].float().squeeze(-1)
