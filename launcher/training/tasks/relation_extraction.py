"""The relation of two entities in a text: cross entropy over the labels; F1 as SemEval-2010 task 8 counts it.

What a model reads of a text, and where its entities are, `marked_texts` says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from launcher.errors import DataError, Problem
from launcher.recipe.task import RelationExtraction
from launcher.training.batches.split import TOKENS, Column, Ragged, Split, as_array
from launcher.training.data import Row, marks
from launcher.training.tasks import text_classification
from launcher.training.tasks.base import Encoded, Kept, Text
from launcher.training.tasks.marked_texts import seen_of

ENTITIES = "entities"
DIRECTED = re.compile(r"(.+)\(\s*e[12]\s*,\s*e[12]\s*\)", re.IGNORECASE)
NO_RELATION = re.compile(
    r"other|n/?a|none|no[_ -]?rel(ation)?|unknown|unrelated|无|无关|无关系|没有关系|其他|其它", re.IGNORECASE
)
LOST = ("entities_cut", "entities_without_a_token")
"""Entities of which the model does not see the whole, and those that the tokenizer gives no token."""


class Work(text_classification.Work):
    """See `launcher.training.tasks.base.TaskWork`."""

    metric_names = tuple(RelationExtraction.metrics)
    inputs = {TOKENS: None, ENTITIES: 0}  # noqa: RUF012 (the base class types it as a Mapping)
    counted = "relations"

    @cached_property
    def none(self) -> int | None:
        """The number of the label of entities without a relation; None where all are relations."""
        assert isinstance(self.task, RelationExtraction)
        if self.task.none is not None:
            return self.labels.index(self.task.none) if self.task.none in self.labels else None
        alike = [number for number, label in enumerate(self.labels) if NO_RELATION.fullmatch(label)]
        return alike[0] if len(alike) == 1 else None

    @cached_property
    def relations(self) -> dict[str, list[int]]:
        """Each relation with the numbers of its labels: one, or one for each direction."""
        relations: dict[str, list[int]] = {}
        for number, label in enumerate(self.labels):
            if number != self.none:
                directed = DIRECTED.fullmatch(label)
                relations.setdefault(directed[1] if directed else label, []).append(number)
        return relations

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """A row for each text: its tokens, and `entities`, int64 [rows, 4], which of them are at the entities."""
        seen = list(seen_of(examples, self.tokenizer, self.reader.max_length))
        labels, targets = self.answers_of(examples)
        tokens = Ragged.of([one.tokens for one in seen], np.int32)
        places = np.array([one.places for one in seen], dtype=np.int64).reshape(-1, 4)
        columns: dict[str, Column] = {TOKENS: tokens, ENTITIES: places, "labels": labels}
        split = Split(columns, {"loss": targets}, tokens.lengths, np.arange(len(seen)))
        lost = dict(zip(LOST, (sum(one.cut for one in seen), sum(one.lacking for one in seen)), strict=True))
        return Encoded(split, np.array([one.truncated for one in seen], dtype=bool), lost)

    def example(self, text: Text) -> Row:
        """Of a text with `<e1>` and the others in it. Raises DataError where they are not right."""
        assert isinstance(text, str)
        try:
            plain, pair = marks.parsed(text)
        except ValueError as error:
            raise DataError(Problem(str(error), do=marks.WRITE)) from None
        return Row(plain, self.labels[0], "", None, pair)

    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """Macro F1 over the relations that are expected or predicted, micro F1 over their labels, accuracy over all.

        And a row for each relation. It is right where its direction is; it is predicted, and expected, in both
        directions together ("(9+1)-way evaluation taking directionality into account"). Rows without a relation count
        where one is predicted, and where they are.
        """
        gold, predicted = split.array("labels"), as_array(kept.values["predicted"])
        right = gold == predicted
        classes = {name: _row(gold, predicted, own) for name, own in self.relations.items()}
        there = np.union1d(gold, predicted)
        f1 = [row["f1"] for name, row in classes.items() if np.isin(self.relations[name], there).any()]
        micro = _row(gold, predicted, [number for own in self.relations.values() for number in own])
        return {
            "macro_f1": float(np.mean(f1)) if f1 else float("nan"),
            "micro_f1": micro["f1"],
            "accuracy": float(right.mean()) if len(right) else float("nan"),
            "classes": classes,
        }

    def tell(self, text: Text, split: Split, rows: np.ndarray, kept: Kept) -> dict[str, Any]:
        """`{"label", "probability", "entities": [{"text", "start", "end"}, …], "probabilities"}`.

        Places count characters of the text without its marks.
        """
        plain, pair = marks.parsed(str(text))
        told = super().tell(text, split, rows, kept)
        there = [{"text": plain[span.start : span.end], "start": span.start, "end": span.end} for span in pair]
        return {"label": told["label"], "probability": told["probability"], ENTITIES: there, **told}

    def for_readers(self) -> dict[str, Any]:
        """What is put around the entities, and the token that is none of the tokenizer's own where it stands."""
        around = marks.marks_of(self.tokenizer)
        return {
            "marks": ["", ""] if around is None else [mark for mark, _ in around],
            "unknown": self.tokenizer.unk_token_id,
        }

    def sample(self, rows: int, length: int) -> Any:
        """The entities stand at the first token."""
        import torch

        inputs, wanted = super().sample(rows, length)
        return {**inputs, ENTITIES: torch.zeros((rows, 4), dtype=torch.int64)}, wanted


def _row(gold: np.ndarray, predicted: np.ndarray, own: Sequence[int]) -> dict[str, float]:
    """Precision, recall, F1 and support of these labels together; one label is right, not any of them."""
    expected, said = np.isin(gold, own), np.isin(predicted, own)
    right, count = int((expected & (gold == predicted)).sum()), int(expected.sum())
    precision, recall = right / max(1, int(said.sum())), right / max(1, count)
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "support": count}
