"""A vocabulary that does not fit its texts: of how many of their tokens a model knows nothing, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.recipe.recipe import Recipe
from launcher.recipe.source import Static, tokens_of
from launcher.recipe.task import answer_of, plain
from launcher.training.data import Row, scripts

if TYPE_CHECKING:
    from launcher.training.batches.split import Split

MIXED = 0.1
"""Part of the words above which what stands without white space counts."""
TOO_MANY = 0.1
"""Part of the validation split's tokens."""


def warnings_of(recipe: Recipe, validation: Split, tokenizer: Any, rows: Sequence[Row]) -> list[str]:
    """A warning where more than a tenth of the split's tokens is unknown, with what would help."""
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown in (tokenizer.cls_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id):
        return []  # one token for both: every text has it
    special = set(tokenizer.all_special_ids) - {unknown}
    ids = validation.token_ids
    tokens = int((~np.isin(ids, list(special))).sum())
    missed = int((ids == unknown).sum())
    if missed <= TOO_MANY * tokens:
        return []
    return [f"validation: {missed / tokens:.1%} of the tokens are unknown to the model; {_cure(recipe, rows)}"]


def _cure(recipe: Recipe, rows: Sequence[Row]) -> str:
    source = recipe.embedding
    if not isinstance(source, Static):
        return "take a model whose tokenizer knows this language"
    ways, unspaced = [], scripts.look(row.characters for row in rows).unspaced > MIXED
    if source.minimum_count > 1:
        ways.append(f"lower embedding.minimum_count from {source.minimum_count}")
    if answer_of(recipe.task) != "tags":  # whose rows are cut already
        tokens = tokens_of(source, plain(recipe.task))
        if unspaced and tokens not in ("characters", "jieba"):
            ways.append("leave embedding.tokens out, which decides from the text, or write 'jieba' or 'characters'")
        elif tokens in (("jieba",) if unspaced else ("whitespace",)):
            ways.append(f"write embedding.tokens={'characters' if unspaced else 'words'!r}")
    if not unspaced and not source.lowercase and any(row.characters != row.characters.lower() for row in rows):
        ways.append("write embedding.lowercase=True")
    return "; or ".join([*ways, "train on more rows, or take a Pretrained model, which knows subwords"])
