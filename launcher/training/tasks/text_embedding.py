"""A vector for each text, learnt from queries with their passages, or from pairs of texts with a number.

Of a ranked row the first input is the query, the second its passage, the others passages that do not belong to it. All
passages of the *whole* batch are candidates of each query, but for those that would be false ones: a text that is the
query's own passage or the query itself, and the passage of another row with the same query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.printing import one_line
from launcher.recipe.metrics import written
from launcher.recipe.task import TextEmbedding
from launcher.training.batches.split import Column, Ragged, Split, as_ragged
from launcher.training.data import Row
from launcher.training.data.findings import Findings
from launcher.training.model_parts.embedding_names import EMBEDDINGS
from launcher.training.tasks.base import Arrays, Kept, Reader, Text
from launcher.training.tasks.regression import correlations
from launcher.training.tasks.search_scores import found_within, ranked
from launcher.training.tasks.texts import on_host, row_of
from launcher.training.tasks.texts_apart import TextsApart, keys_of
from launcher.training.tasks.views import Bar, Bars, View

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors

KEYS, NUMBERS = "keys", "labels"
"""Columns: a number for each text of a row, the same for the same text; of scored pairs the number."""
QUERIES, PASSAGES, OF = "queries", "passages", "of"
"""What the loss takes: the keys of the queries [rows] and of the passages, and which row these are of."""
SHOWN = 4
"""Components of a vector that the command prints."""


class Work(TextsApart):
    """See `launcher.training.tasks.base.TaskWork`."""

    outputs = (EMBEDDINGS,)

    def __init__(self, task: TextEmbedding, reader: Reader):
        super().__init__(task, reader)
        self.noun = task
        self.metric_names = tuple(task.measured)
        self.couples = task.couples_rows
        self.ranks = task.loss == "ranking"
        """Whether rows are queries with passages; else scored pairs."""
        self.called = ("query", "passage", "negative") if self.ranks else ("first", "second")
        self.wanted = dict.fromkeys((QUERIES, PASSAGES, OF) if self.ranks else (NUMBERS, OF), 0)

    @property
    def prefixes(self) -> tuple[str, str]:
        """Of the first text of a row, and of the others."""
        return self.noun.query_prefix, self.noun.passage_prefix if self.ranks else self.noun.query_prefix

    def inputs_of(self, row: Row) -> Sequence[str]:
        """The query and all passages, or both texts."""
        first, other = self.prefixes
        return [first + str(row.text), *(other + text for text in others_of(row, self.ranks))]

    def columns_of(self, examples: Sequence[Row]) -> tuple[dict[str, Column], np.ndarray]:
        """Keys of the texts; of scored pairs their numbers. One target a row. Raises DataError for a number that no
        cosine has.
        """
        ones = np.ones(len(examples), dtype=np.int64)
        if self.ranks:
            keys = [keys_of([str(row.text), *others_of(row, True)]) for row in examples]
            return {KEYS: Ragged.of(keys, np.int64)}, ones
        numbers = np.array([float(str(row.label)) for row in examples], dtype=np.float32)
        if self.noun.loss == "cosine" and (np.abs(numbers) > 1).any():
            low, high = (written(float(number)) for number in (numbers.min(), numbers.max()))
            what, findings = f"a cosine is from -1 to 1, and the numbers are from {low} to {high}", Findings()
            do = "scale the numbers to 0 to 1, or write TextEmbedding(loss='cosent'), which asks for their order"
            for number in np.flatnonzero(np.abs(numbers) > 1):
                findings.add("number", what, examples[int(number)].where, do)
            findings.raise_if_any()
        return {NUMBERS: numbers}, ones

    def example(self, text: Text) -> Row:
        """A query, or a query and a passage."""
        if not self.ranks:
            return row_of(text, "0")
        if isinstance(text, tuple):
            return Row(text[0], (text[1],), "")
        return Row(text, (text,) if len(set(self.prefixes)) > 1 else (), "")

    def wanted_of(self, split: Split, rows: np.ndarray) -> Arrays:
        """See `wanted`."""
        row, number = self.order(split, rows)
        of = {OF: row[len(rows) :]}
        if not self.ranks:
            return {NUMBERS: split.array(NUMBERS)[rows], **of}
        keys = split.ragged(KEYS).padded(rows, 0)[row, number]
        return {QUERIES: keys[: len(rows)], PASSAGES: keys[len(rows) :], **of}

    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """Of these rows, the only ones of their batch."""
        vectors, temperature = outputs[EMBEDDINGS], self.noun.temperature
        sizes = [*self.noun.sizes, vectors.shape[1]]
        losses = [self._loss(leading(vectors, size), wanted, temperature) for size in sizes]
        return {"loss": sum(losses[1:], losses[0]) / len(losses)}

    def _loss(self, vectors: torch.Tensor, wanted: Tensors, temperature: float) -> torch.Tensor:
        from launcher.training.tasks.embedding_losses import cosent, cosine, ranking

        if self.ranks:
            count = len(wanted[QUERIES])
            return ranking(vectors[:count], vectors[count:], wanted[QUERIES], wanted[PASSAGES], temperature)
        count = len(wanted[NUMBERS])
        cosines = (vectors[:count] * vectors[count:]).sum(-1)
        if self.noun.loss == "cosine":
            return cosine(cosines, wanted[NUMBERS])
        return cosent(cosines, wanted[NUMBERS], temperature)

    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, Column]:
        """`embeddings`: the vectors of each row's texts, float32 [texts, width]."""
        vectors, of = on_host(outputs[EMBEDDINGS], np.float32), wanted[OF].cpu().numpy()
        counts = 1 + np.bincount(of, minlength=len(vectors) - len(of))
        return {EMBEDDINGS: self.by_row(vectors, counts)}

    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """Ranking: of each query of the split among all passages of the split. Else correlations. And the loss."""
        vectors = as_ragged(kept.values[EMBEDDINGS])
        if self.ranks:
            return ranked(vectors, split.ragged(KEYS).values, self.noun.temperature)
        gold = split.array(NUMBERS).astype(np.float64)
        pairs = vectors.values.reshape(len(gold), 2, -1).astype(np.float64)
        cosines = (pairs[:, 0] * pairs[:, 1]).sum(-1)
        spearman, pearson = correlations(gold, cosines)
        return {"spearman": spearman, "pearson": pearson, "loss": self._loss_of(cosines, gold)}

    def _loss_of(self, cosines: np.ndarray, gold: np.ndarray) -> float:
        import torch

        from launcher.training.tasks.embedding_losses import cosent, cosine

        given = torch.from_numpy(cosines), torch.from_numpy(gold)
        if self.noun.loss == "cosine":
            return float(cosine(*given)) / len(gold)
        return float(cosent(*given, self.noun.temperature)) / len(gold)

    def views(self, split: Split, kept: Kept) -> Iterator[View]:
        """How many of the right passages are among so many of the nearest."""
        if self.ranks:
            found = found_within(as_ragged(kept.values[EMBEDDINGS]), split.ragged(KEYS).values)
            bars = [Bar(f"{place:,}", share, split.rows) for place, share in found]
            yield Bars("found-within", "right passages among the nearest …", bars)

    def only_answer(self, split: Split, kept: Kept) -> str:
        """One vector for all texts."""
        vectors = as_ragged(kept.values[EMBEDDINGS]).values
        return "the same vector" if len(vectors) > 2 and np.ptp(vectors, axis=0).max() < 1e-6 else ""

    def tell(self, text: Text, split: Split, rows: np.ndarray, kept: Kept) -> dict[str, Any]:
        """`{"vector"}` of a text, and `{"passage_vector"}` where passages have another prefix; of two texts
        `{"similarity"}`, their cosine.
        """
        vectors = as_ragged(kept.values[EMBEDDINGS]).row(int(rows[0]))
        if not isinstance(text, str):
            return {"similarity": float(vectors[0] @ vectors[1])}
        names = ("vector", "passage_vector")
        return {name: vector.tolist() for name, vector in zip(names, vectors, strict=False)}

    def printed(self, text: str, answer: Mapping[str, Any], top: int | None) -> str:
        """The similarity before the texts, or the beginning of the vector."""
        if "similarity" in answer:
            return f"{written(answer['similarity'])}\t{text}"
        vector = answer["vector"]
        shown = ", ".join(f"{number:.4f}" for number in vector[:SHOWN])
        return f"[{shown}, …] ({len(vector)} numbers; --json has all)\t{one_line(text)}"

    def for_readers(self) -> dict[str, Any]:
        """See `TaskWork`."""
        return {"prefixes": list(self.prefixes)}

    def wanted_in_sample(self, rows: int, inputs: int) -> Tensors:
        """Texts that are all different."""
        import torch

        of = torch.arange(inputs - rows) % rows
        if not self.ranks:
            return {NUMBERS: torch.zeros(rows), OF: of}
        return {QUERIES: torch.arange(rows), PASSAGES: torch.arange(rows, inputs), OF: of}


def others_of(row: Row, ranks: bool) -> Iterator[str]:
    """The texts of a row besides its first."""
    yield from row.labels if ranks else [row.pair] if row.pair is not None else []


def leading(vectors: torch.Tensor, size: int) -> torch.Tensor:
    """Their first components, as vectors of length 1."""
    from torch.nn.functional import normalize

    return vectors if size >= vectors.shape[1] else normalize(vectors[:, :size], dim=-1)
