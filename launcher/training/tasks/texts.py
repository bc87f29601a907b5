"""Texts and pairs of texts as tokens: what the tasks of whole texts share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.training.tasks import Text, flat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from launcher.training.data import Row


def texts_of(rows: Sequence[Row]) -> list[Text]:
    """Each row's text, or its two."""
    return [str(row.text) if row.pair is None else (str(row.text), row.pair) for row in rows]


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], max_length: int) -> Any:
    """One fast encoding a text or pair, cut at `max_length`; of a pair the longer text is cut first."""
    if not texts:
        return []
    alone = isinstance(texts[0], str)
    given = [list(texts)] if alone else [[first for first, _ in texts], [second for _, second in texts]]
    return tokenizer(*given, truncation=True, max_length=max_length).encodings


def token_columns(tokenizer: PreTrainedTokenizerBase, encoded: Sequence[Any]) -> dict[str, np.ndarray]:
    """`input_ids` flat with `offsets`; beside them `token_types`, where the model tells the two texts of a pair apart
    by them.
    """
    ids = [encoding.ids or [tokenizer.unk_token_id] for encoding in encoded]
    input_ids, offsets = flat(ids)
    columns = {"input_ids": input_ids, "offsets": offsets}
    if "token_type_ids" in tokenizer.model_input_names and any(1 in encoding.type_ids for encoding in encoded):
        columns["token_types"], _ = flat([encoding.type_ids or [0] for encoding in encoded], np.uint8)
    return columns
