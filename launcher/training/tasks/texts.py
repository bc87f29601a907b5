"""What the tasks of whole texts share: texts and pairs of texts as tokens, and weights of a target's classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from launcher.printing import one_line
from launcher.recipe.metrics import written
from launcher.training.batches.split import TOKENS, Column, Ragged, Split, as_array
from launcher.training.data import Row
from launcher.training.tasks.base import Encoded, Kept, TaskWork, Text

TYPES = "token_type_ids"


class LabelsWork(TaskWork):
    """What the tasks of labels share: `keep` gives `predicted`, and `tell` labels and their probabilities."""

    def only_answer(self, split: Split, kept: Kept) -> str:
        """See `TaskWork`."""
        return self.class_name(only(as_array(kept.values["predicted"]), split.array("labels")))

    def printed(self, text: str, answer: Mapping[str, Any], top: int | None) -> str:
        """The labels before the text."""
        probabilities = answer.get("probabilities")
        if top is not None and isinstance(probabilities, dict):
            return f"{_listed(probabilities, '  ')}\t{text}"
        if {"label", "probability"} <= answer.keys():
            return f"{one_line(str(answer['label']))}\t{written(answer['probability'])}\t{text}"
        if "labels" in answer and isinstance(probabilities, dict):
            chosen = {label: probabilities.get(label) for label in answer["labels"]}
            return f"{_listed(chosen, ', ') or '-'}\t{text}"
        return super().printed(text, answer, top)  # a task of the user's own says what it likes

    def class_name(self, number: int | None) -> str:
        """How an answer is called in a sentence, '' for none."""
        return "" if number is None else repr(self.labels[number])


class TextsWork(LabelsWork):
    """A row is a text, or a pair of them; its answer is in `labels`, an array [rows, …] that `answers_of` makes."""

    inputs = {TOKENS: None, TYPES: 0}  # noqa: RUF012 (the base class types it as a Mapping)
    wanted = {"labels": 0}  # noqa: RUF012 (likewise)

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """`input_ids`, cut at the longest input; of a pair the longer text is cut first. Beside them `token_type_ids`,
        where the model tells the two texts of a pair apart by them.
        """
        encoded = self._tokenised(examples)
        tokens = Ragged.of(token_ids(self.tokenizer, encoded), np.int32)
        columns: dict[str, Column] = {TOKENS: tokens}
        if any(row.pair is not None for row in examples) and tells_pairs_apart(self.tokenizer):
            columns[TYPES] = Ragged.of([encoding.type_ids or [0] for encoding in encoded], np.uint8)
        columns["labels"], targets = self.answers_of(examples)
        split = Split(columns, {"loss": targets}, tokens.lengths, np.arange(len(examples)))
        return Encoded(split, np.array([bool(each.overflowing) for each in encoded], dtype=bool))

    def answers_of(self, examples: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
        """The column `labels`: class numbers, int64 [rows, …], or numbers, float32 [rows]; the targets of each row."""
        raise NotImplementedError

    def _tokenised(self, examples: Sequence[Row]) -> Sequence[Any]:
        if not examples:
            return []
        texts, pairs = [str(row.text) for row in examples], [row.pair for row in examples if row.pair is not None]
        given = [texts, pairs] if pairs else [texts]
        encodings: Sequence[Any] = self.tokenizer(*given, truncation=True, max_length=self.reader.max_length).encodings
        return encodings


def _listed(probabilities: Mapping[str, Any], separator: str) -> str:
    return separator.join(f"{one_line(label)} {written(value)}" for label, value in probabilities.items())


def tells_pairs_apart(tokenizer: Any) -> bool:
    """Whether the model is to be told which tokens are of the second text of a pair, and the tokenizer says so."""
    if TYPES not in tokenizer.model_input_names:
        return False
    (pair,) = tokenizer(["a"], ["b"]).encodings
    return 1 in pair.type_ids


def row_of(text: Text, label: str | tuple[str, ...]) -> Row:
    """A row of the data for a text or a pair."""
    first, second = (text, None) if isinstance(text, str) else text
    return Row(first, label, "", second)


def token_ids(tokenizer: Any, encoded: Sequence[Any]) -> list[list[int]]:
    """The tokens of every text, and one of the tokenizer's own where it makes none of a text: no row is empty."""
    own = ("unk_token_id", "eos_token_id", "bos_token_id", "cls_token_id", "pad_token_id")
    known = [number for number in (getattr(tokenizer, name, None) for name in own) if number is not None]
    return [encoding.ids or [*known, 0][:1] for encoding in encoded]


def scaled_weights(wanted: str | Mapping[str, float], names: Sequence[str], train: np.ndarray) -> list[float]:
    """A weight for each class, whose mean over the training targets (numbers `train` of the classes `names`) is 1.

    `balanced` gives every class that has targets the same weight in all; otherwise 1 counts where none is `wanted`.
    """
    counts = np.bincount(train, minlength=len(names)).astype(np.float64)
    if isinstance(wanted, str):
        weights = np.where(counts > 0, 1 / np.maximum(counts, 1), 0.0)
    else:
        weights = np.array([float(wanted.get(name, 1.0)) for name in names])
    scaled: list[float] = (weights * counts.sum() / (weights @ counts)).tolist()
    return scaled


def report_of(gold: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, Any]:
    """scikit-learn's report of class numbers [n], or of yes and no for each class [n, classes]; under "0", "1", …."""
    from sklearn.metrics import classification_report

    numbers = list(range(classes))
    report: dict[str, Any] = classification_report(
        gold, predicted, labels=numbers, target_names=list(map(str, numbers)), output_dict=True, zero_division=0.0
    )
    return report


def class_rows(report: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Rows of scikit-learn's or seqeval's report, by the name of their class, as our per-class rows."""
    return {
        name: {
            "precision": float(row["precision"]),
            "recall": float(row["recall"]),
            "f1": float(row["f1-score"]),
            "support": int(row["support"]),
        }
        for name, row in report.items()
    }


def only(predicted: np.ndarray, gold: np.ndarray) -> int | None:
    """The class that was predicted for all, where there are several; None where that is not so."""
    different = np.unique(predicted)
    return int(different[0]) if len(different) == 1 and len(np.unique(gold)) > 1 else None


def on_host(tensor: Any, dtype: type[np.generic]) -> np.ndarray:
    """A tensor's values as an array."""
    values: np.ndarray = tensor.cpu().numpy().astype(dtype)
    return values
