"""Fields that came to nouns later: where they have their defaults, a digest is what it was before there were any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LATER: Mapping[str, Any] = {
    "columns": None,
    "separator": None,
    "comments": None,
    "augment": None,
    "shots": None,
    "entities": None,
    "relation": None,
    "image": None,
    "target": None,
    "decoder": None,
    "crf": False,
    "fgm": None,
    "packing": False,
    "start": "zero",
    "scale": 1.0,
    "new_tokens": [],
    "tokenizer": None,
    "subword_rows": False,
    "generate_every": None,
    "generate_rows": None,
    "schedule_epochs": None,
    "from_run": None,
    "with_optimiser": False,
    "replay": 0.0,
    "ewc": 0.0,
    "lwf": 0.0,
}
"""By the field's name, with the default that it has in every noun."""


def as_digested(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe or a noun as JSON values, for a digest. What else is a dict, as options are, stays as it is."""
    of_noun = "kind" in values
    return {
        name: as_digested(value) if isinstance(value, dict) and (not of_noun or "kind" in value) else value
        for name, value in values.items()
        if not of_noun or name not in LATER or value != LATER[name]
    }
