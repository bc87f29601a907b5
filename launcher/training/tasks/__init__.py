"""Tasks at work. Each module answers the same questions, listed in `TaskWork`; to know one is to know all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, assert_never

import numpy as np

from launcher.recipe.task import CustomTask, MultiLabelClassification, Task, TextClassification, TokenClassification

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from launcher.training.data import Row


Text = str | tuple[str, str]
"""One text, or a pair of them."""


class TaskWork(Protocol):
    """What the loop, evaluation, `prepare` and `predict` ask of a task.

    A *target* is one thing the loss is averaged over: a text, a label's yes or no, a labelled token. Columns are
    flat numpy arrays (see `batches.Split`); `labels` is the label set, whose order gives the class numbers.
    A task in which one thing can be taken for another also has `confusions(columns, predicted, labels)`, an iterator of
    `confusion.Confusion`: each is drawn as a matrix.
    """

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics that a model can be selected by."""
        ...

    def columns(
        self,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[Row],
        labels: Sequence[str],
        max_length: int,
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Tokenise rows into columns; also what the model does not see of them, counted.

        `truncated` is the rows cut at `max_length` tokens; a task of tokens adds entities and words (see `lost`).
        """
        ...

    def batch_labels(self, columns: Mapping[str, np.ndarray], rows: np.ndarray, width: int) -> np.ndarray:
        """Class numbers for these rows: int64 [rows] or [rows, width or labels], -100 where there is no target."""
        ...

    def loss_sum(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss summed over all targets, a float32 scalar."""
        ...

    def guess(self, logits: torch.Tensor) -> torch.Tensor:
        """The predicted class numbers, in the shape of `batch_labels`."""
        ...

    def metrics(
        self, columns: Mapping[str, np.ndarray], predicted: np.ndarray, labels: Sequence[str]
    ) -> dict[str, Any]:
        """Numbers by name, and under `classes` one row of precision, recall, f1, support a class.

        `predicted` holds one class number a target, in the order of rows and positions.
        """
        ...

    def decode(
        self,
        tokenizer: PreTrainedTokenizerBase,
        text: Text,
        logits: np.ndarray,
        labels: Sequence[str],
        encoded: Any,
    ) -> dict[str, Any]:
        """What is told to the user about one text, from its logits ([classes] or [tokens, classes])."""
        ...

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], max_length: int) -> Any:
        """Raw texts (or pairs of them) as the tokenizer's fast encodings, for `decode`."""
        ...


def work_for(task: Task, labels: Sequence[str] = (), train: Mapping[str, np.ndarray] | None = None) -> TaskWork:
    """The module that does this task, with the plain loss that is measured.

    With the columns of the training split, `train`, it has the loss that is trained on: weighted and smoothed as the
    task says.
    """
    match task:
        case TextClassification():
            from launcher.training.tasks import text_classification

            one = text_classification.Work
            return one() if train is None else one.for_training(task, labels, train)
        case MultiLabelClassification():
            from launcher.training.tasks import multi_label_classification

            several = multi_label_classification.Work
            return several(task.threshold) if train is None else several.for_training(task, labels, train)
        case TokenClassification():
            from launcher.training.tasks import token_classification

            return token_classification.Work(task.tokens or "words")
        case CustomTask():
            from launcher.training.tasks import custom

            return custom.work_for(task)
        case _:
            assert_never(task)


def flat(sequences: Sequence[Sequence[int]], dtype: Any = np.int32) -> tuple[np.ndarray, np.ndarray]:
    """Ragged rows as one flat array and int64 offsets [rows + 1]."""
    offsets = np.zeros(len(sequences) + 1, dtype=np.int64)
    np.cumsum([len(sequence) for sequence in sequences], out=offsets[1:])
    values = np.fromiter((v for sequence in sequences for v in sequence), dtype=dtype, count=int(offsets[-1]))
    return values, offsets


def token_ids(tokenizer: PreTrainedTokenizerBase, encoded: Sequence[Any]) -> list[list[int]]:
    """The tokens of every text, and one of the tokenizer's own where it makes none of a text: no row is empty."""
    own = ("unk_token_id", "eos_token_id", "bos_token_id", "cls_token_id", "pad_token_id")
    known = [number for number in (getattr(tokenizer, name, None) for name in own) if number is not None]
    return [encoding.ids or [*known, 0][:1] for encoding in encoded]


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
