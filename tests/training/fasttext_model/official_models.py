"""Small models that the official library trains, once a session, in all the forms that it has."""

from __future__ import annotations

import random
from typing import Any

WORDS = ["film", "films", "good", "bad", "naïve", "É", "好", "电影", "今天天气", "👍🏽", "𠮷野家", "the", "of"]
WORDS += ["label__", "<a>", "x", "\u3000wide"]
SUBWORDS: dict[str, Any] = {"minn": 2, "maxn": 4, "bucket": 300}
FORMS: dict[str, dict[str, Any]] = {
    "skipgram": {"model": "skipgram", **SUBWORDS},
    "skipgram without subwords": {"model": "skipgram", "minn": 0, "maxn": 0, "bucket": 0},
    "cbow": {"model": "cbow", "loss": "hs", **SUBWORDS},
    "softmax": {"wordNgrams": 3, **SUBWORDS},
    "softmax of words": {"minn": 0, "maxn": 0, "bucket": 0},
    "n-grams of words": {"wordNgrams": 2, "bucket": 50},
    "tree": {"loss": "hs", "wordNgrams": 2, **SUBWORDS},
    "one-vs-all": {"loss": "ova", **SUBWORDS},
    "negative sampling": {"loss": "ns", **SUBWORDS},
}
"""What each is trained with, beside `TRAINING`."""
TRAINING = {"dim": 7, "epoch": 3, "thread": 1, "verbose": 0, "minCount": 1}
QUANTISED: dict[str, dict[str, Any]] = {
    "softmax": {},
    "n-grams of words": {"qnorm": True, "dsub": 3},
    "one-vs-all": {"cutoff": 280, "qnorm": True},
    "tree": {"cutoff": 260, "qout": True, "qnorm": True, "dsub": 3},
    "negative sampling": {"dsub": 7, "qout": True},
    "softmax of words": {"cutoff": 270},
}
"""What of them is quantised too, and how; quantising an output matrix takes 256 labels."""
NAMES = [*FORMS, *(f"{name}, quantised" for name in QUANTISED)]


def drawn_lines(number: int, seed: int = 3) -> list[str]:
    """Lines of known and made-up words."""
    draw = random.Random(seed)
    made = [f"word{draw.randrange(400)}" for _ in range(200)] + WORDS * 4
    return [" ".join(draw.choices(made, k=draw.randrange(1, 9))) for _ in range(number)]


def label_of(line: str) -> int:
    """From 0 to 299, by the line's first word; the first ones are frequent, so that a tree of them is deep."""
    first = int("".join(filter(str.isdigit, line.split()[0])) or 0)
    return first**3 // (400**3 // 300 + 1)
