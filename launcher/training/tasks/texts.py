"""What the tasks of whole texts share: texts and pairs of texts as tokens, and weights of a target's classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.training.tasks import Text, flat, token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from launcher.training.data import Row


class TextsWork:
    """The two questions that every task of whole texts answers alike."""

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], max_length: int) -> Any:
        """One fast encoding a text or pair, cut at `max_length`; of a pair the longer text is cut first."""
        if not texts:
            return []
        pairs = [text for text in texts if not isinstance(text, str)]
        alone = len(pairs) < len(texts)
        given = [list(texts)] if alone else [[first for first, _ in pairs], [second for _, second in pairs]]
        return tokenizer(*given, truncation=True, max_length=max_length).encodings

    def tokens(
        self, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], max_length: int
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """The columns of the rows' tokens (`token_columns`), and how many rows were cut."""
        encoded = self.encode(tokenizer, texts_of(rows), max_length)
        return token_columns(tokenizer, encoded), {"truncated": sum(bool(each.overflowing) for each in encoded)}


def texts_of(rows: Sequence[Row]) -> list[Text]:
    """Each row's text, or its two."""
    return [str(row.text) if row.pair is None else (str(row.text), row.pair) for row in rows]


def token_columns(tokenizer: PreTrainedTokenizerBase, encoded: Sequence[Any]) -> dict[str, np.ndarray]:
    """`input_ids` flat with `offsets`; beside them `token_types`, where the model tells the two texts of a pair apart
    by them.
    """
    input_ids, offsets = flat(token_ids(tokenizer, encoded))
    columns = {"input_ids": input_ids, "offsets": offsets}
    if "token_type_ids" in tokenizer.model_input_names and any(1 in encoding.type_ids for encoding in encoded):
        columns["token_types"], _ = flat([encoding.type_ids or [0] for encoding in encoded], np.uint8)
    return columns


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
