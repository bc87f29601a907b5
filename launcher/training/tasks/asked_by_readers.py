"""What the reader of an export is told of prompts and of written texts (`launcher.exported.contract`)."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any
from unicodedata import east_asian_width

from launcher.training.data.scripts import HAN, KANA, OTHERS
from launcher.training.tasks.words_said import own_signs

CLEANED = ((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"))
CLEANED += ((" 's", "'s"), (" 've", "'ve"), (" 're", "'re"))  # type: ignore[assignment]
"""What transformers replaces where a tokenizer cleans up the spaces of what it decodes."""
GENERATION = re.compile(r"{%-?\s*(?:end)?generation\s*-?%}")
"""Tags of templates that mark replies for training, and write nothing."""


def prompt(
    tokenizer: Any,
    before: Sequence[int],
    behind: Sequence[int],
    room: int,
    cut: str,
    empty: Sequence[int],
    prefix: str = "",
) -> dict[str, Any]:
    """How a text becomes a prompt: what stands around its tokens, and how many are read. `cut` is what is left out of
    a longer one: the `end` of the text, or the `beginning` of the whole.
    """
    around = {"prefix": prefix, "before": [*before], "behind": [*behind], "room": room, "cut": cut, "empty": [*empty]}
    return {**around, "own": sorted(own_signs(tokenizer)), "unknown": tokenizer.unk_token_id}


def decoded(tokenizer: Any, parts: bool = False) -> dict[str, Any]:
    """What is done to the text of tokens; `parts`: where spaces stand between characters that no language parts."""
    of_bpe = type(tokenizer.backend_tokenizer.model).__name__ == "BPE"
    cleans = (parts or tokenizer.clean_up_tokenization_spaces) and not of_bpe
    return {"replaced": [[*pair] for pair in CLEANED] if cleans else [], "joined": _joined() if parts else None}


def chat(tokenizer: Any, system: str | None, names: Sequence[Sequence[str]], border: Sequence[int]) -> dict[str, Any]:
    """The template of conversations, and the names of control tokens that are text where a message holds them."""
    of_reply, of_others = (sorted(each, key=len, reverse=True) for each in names)
    signs = {name: str(value) for name, value in tokenizer.special_tokens_map.items() if isinstance(value, str)}
    return {
        "template": GENERATION.sub("", str(tokenizer.chat_template)),
        "system": system,
        "signs": signs,
        "names": {"reply": of_reply, "others": of_others},
        "border": [*border],
    }


def _joined() -> str:
    """A pattern of the spaces that `scripts.joins` says nothing parts."""
    unspaced, wide = f"[{HAN}{KANA}{OTHERS}]", f"[{''.join(_wide())}]"
    return rf"(?<={unspaced}) (?={unspaced})|(?<={wide}) (?=\S)|(?<=\S) (?={wide})"


def _wide() -> Iterator[str]:
    """The ranges of wide characters that are neither letters nor digits."""
    points = (n for n in range(sys.maxunicode + 1) if east_asian_width(chr(n)) in "WF" and not chr(n).isalnum())
    runs = itertools.groupby(enumerate(points), key=lambda each: each[1] - each[0])
    for _, run in runs:
        numbers = [number for _, number in run]
        yield f"\\U{numbers[0]:08x}-\\U{numbers[-1]:08x}"
