"""Which tokens mark the entities in a text: ones that the tokenizer has, so that they have trained vectors already.

New tokens would need rows of their own in the table, which methods with a frozen base leave as they were drawn. The
choice is written into tokenizer_config.json under `entity_marks`, and a saved model keeps it. Tokenizers of static
vectors have none: there a model is told the entities' places only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import DataError, Problem
from launcher.training.data.marks import SETTING, marks_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CANDIDATES = ("@", "#", "*", "$", "^", "~", "|", "%", "&", "+", "=", "/", "\\", "_", "-", ":", ";")
"""Marks of punctuation, those first that are rare in texts and mean least."""


def choose(tokenizer: PreTrainedTokenizerFast, model: str) -> None:
    """Write two marks into the tokenizer's settings, unless it has them. Raises DataError where it knows none."""
    if marks_of(tokenizer) is not None:
        return
    known = [mark for mark in CANDIDATES if _is_token(tokenizer, mark)][:2]
    if len(known) < 2:
        what = f"the tokenizer of {model} knows no two marks of punctuation to put around entities"
        raise DataError(Problem(what, do=f"take a model that knows two of {' '.join(CANDIDATES)}"))
    tokenizer.init_kwargs[SETTING] = known


def _is_token(tokenizer: PreTrainedTokenizerFast, mark: str) -> bool:
    """Whether it is a token of its own between words, and a known one."""
    text = f"a {mark} b"
    (encoding,) = tokenizer([text]).encodings
    token = encoding.char_to_token(2)
    return token is not None and encoding.ids[token] != tokenizer.unk_token_id
