"""A conversation for people: its text as the model reads it, and which of it is learnt."""

from __future__ import annotations

from typing import Any

import numpy as np

from launcher.training.tasks.words_said import added_text

LONGEST_REST = 200
"""Characters that are shown of what was cut."""
LONGEST_CHARACTER = 8
"""Tokens that one character may be made of."""
LEARNT = "learnt"


def parts_of(tokenizer: Any, ids: np.ndarray, learnt: np.ndarray) -> list[dict[str, Any]]:
    """The tokens, as `launcher data` shows them; those that are one character together are one part."""
    control, unknown = set(tokenizer.added_tokens_decoder), tokenizer.unk_token_id
    parts: list[dict[str, Any]] = []
    before: list[int] = []
    held: list[int] = []
    for place, number in enumerate(map(int, ids)):
        held.append(number)
        text = added_text(tokenizer, before, held)
        more = place + 1 < len(ids) and learnt[place + 1] == learnt[place]
        if "\ufffd" in text and more and len(held) < LONGEST_CHARACTER:
            continue
        parts.append(
            {
                "token": text,
                "text": text,
                "label": LEARNT if learnt[place] else None,
                "unknown": number == unknown,
                "special": number in control,
            }
        )
        before, held = held, []
    return parts


def of_row(where: str, parts: list[dict[str, Any]], tokens: int, rest: tuple[int, str]) -> dict[str, Any]:
    """A row of `tokens`; `rest` is how many were cut, and what they read."""
    learnt = sum(part["label"] == LEARNT for part in parts)
    about = f"{where}, {tokens:,} tokens" + ("" if learnt else ", none of them learnt")
    return {
        "where": about,
        "label": None,
        "running": True,
        "tokens": parts,
        "cut": {"tokens": rest[0], "text": rest[1][:LONGEST_REST]},
    }
