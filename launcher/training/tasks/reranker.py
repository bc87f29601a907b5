"""A score for a query and a passage that are read together; learnt from rows of a query, its passage and others.

Each passage of a row is one input, a pair with the query, the right one first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.recipe.metrics import written
from launcher.recipe.task import Reranker
from launcher.training.batches.split import Column, Ragged, Split, as_ragged
from launcher.training.data import Row
from launcher.training.tasks.base import Arrays, Kept, Reader, Text
from launcher.training.tasks.search_scores import CUT, NEAR
from launcher.training.tasks.texts import on_host
from launcher.training.tasks.texts_apart import TextsApart
from launcher.training.tasks.views import Bar, Bars, View

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors

ROWS, OF = "rows", "of"
"""What the loss takes: a number for each row [rows], and which row each input is of [inputs]; the first are the right
ones."""


class Work(TextsApart):
    """See `launcher.training.tasks.base.TaskWork`."""

    called = ("passage", "negative")
    metric_names = tuple(Reranker.metrics)
    wanted = {ROWS: 0, OF: 0}  # noqa: RUF012 (the base class types it as a Mapping)

    def __init__(self, task: Reranker, reader: Reader):
        super().__init__(task, reader)
        self.listwise = task.loss == "listwise"

    def inputs_of(self, row: Row) -> Sequence[tuple[str, str]]:
        """The query with each of its passages."""
        return [(str(row.text), passage) for passage in row.labels]

    def columns_of(self, examples: Sequence[Row]) -> tuple[dict[str, Column], np.ndarray]:
        """Targets: the row, or each of its passages."""
        return {}, np.array([1 if self.listwise else len(row.labels) for row in examples], dtype=np.int64)

    def example(self, text: Text) -> Row:
        """A query and a passage; a text alone is its own."""
        query, passage = (text, text) if isinstance(text, str) else text
        return Row(query, (passage,), "")

    def wanted_of(self, split: Split, rows: np.ndarray) -> Arrays:
        """See `wanted`."""
        return {ROWS: rows, OF: self.order(split, rows)[0]}

    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """Over the passages of each row, or of each passage."""
        import torch
        from torch.nn import functional

        scores, of, rows = scores_of(outputs), wanted[OF], len(wanted[ROWS])
        if not self.listwise:
            right = (torch.arange(len(scores), device=scores.device) < rows).float()
            return {"loss": functional.binary_cross_entropy_with_logits(scores, right, reduction="sum")}
        most = scores.detach().new_full((rows,), -torch.inf).scatter_reduce(0, of, scores.detach(), "amax")
        sums = scores.new_zeros(rows).scatter_add(0, of, (scores - most[of]).exp())
        return {"loss": (sums.log() + most - scores[:rows]).sum()}

    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, Column]:
        """`scores`: of each row's passages, the right one's first."""
        counts = np.bincount(wanted[OF].cpu().numpy(), minlength=len(wanted[ROWS]))
        return {"scores": self.by_row(on_host(scores_of(outputs), np.float32), counts)}

    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """Of the right passage's place among those of its row; one with the same score counts as better."""
        scores = as_ragged(kept.values["scores"])
        ranks = _places(scores)
        seen = ranks <= CUT
        return {
            "mrr_at_10": float(np.where(seen, 1 / ranks, 0.0).mean()),
            "ndcg_at_10": float(np.where(seen, 1 / np.log2(ranks + 1), 0.0).mean()),
            "accuracy": float((ranks == 1).mean()),
            "passages": len(scores.values),
        }

    def views(self, split: Split, kept: Kept) -> Iterator[View]:
        """How many rows have their right passage among so many of the best."""
        scores = as_ragged(kept.values["scores"])
        ranks, most = _places(scores), min(CUT, int(scores.lengths.max()) - 1)
        bars = [Bar(str(place), float((ranks <= place).mean()), len(ranks)) for place in range(1, most + 1)]
        yield Bars("found-within", "right passages among the best …", bars)

    def tell(self, text: Text, split: Split, rows: np.ndarray, kept: Kept) -> dict[str, Any]:
        """`{"score"}`: any number; the higher, the better the passage answers the query."""
        return {"score": float(as_ragged(kept.values["scores"]).row(int(rows[0]))[0])}

    def printed(self, text: str, answer: Mapping[str, Any], top: int | None) -> str:
        """The score before the texts."""
        return f"{written(answer['score'])}\t{text}" if "score" in answer else super().printed(text, answer, top)

    def wanted_in_sample(self, rows: int, inputs: int) -> Tensors:
        """See `wanted`."""
        import torch

        return {ROWS: torch.arange(rows), OF: torch.arange(inputs) % rows}


def _places(scores: Ragged) -> np.ndarray:
    """Of each row's first score among all of the row, from 1; one that is as high counts as higher."""
    first = np.repeat(scores.values[scores.offsets[:-1]], scores.lengths)
    ranks: np.ndarray = np.add.reduceat((scores.values > first - NEAR).astype(np.int64), scores.offsets[:-1])
    return ranks


def scores_of(outputs: Tensors) -> torch.Tensor:
    """[inputs, 1] as float32 [inputs]."""
    return outputs["logits"].float().squeeze(-1)
