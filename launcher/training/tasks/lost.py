"""What a token model does not see of a sentence: words and entities beyond the cut, words without a piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any

COUNTED = ("words_cut", "words_swallowed", "entities_cut", "entities_beyond")
"""Words beyond the cut; words to which the tokenizer gives no piece (control characters,
variation selectors); entities that lost their end to the cut, and those that lie wholly beyond it."""


def count(encoding: Any, seen: Set[int], tags: Sequence[str], counts: dict[str, int]) -> None:
    """Add one sentence to `counts`; `seen` are the words that have a piece, `tags` those of all words, in BIO."""
    cut = {word for rest in encoding.overflowing for word in rest.word_ids if word is not None} - seen
    if len(seen) == len(tags):
        return
    counts["words_cut"] += len(cut)
    counts["words_swallowed"] += len(tags) - len(seen) - len(cut)
    for words in _entities(tags):
        beyond = len(cut.intersection(words))
        counts["entities_beyond"] += beyond == len(words)
        counts["entities_cut"] += 0 < beyond < len(words)


def _entities(tags: Sequence[str]) -> Iterator[range]:
    """The words of each entity."""
    start = 0
    for index, tag in enumerate([*tags, "O"]):
        if tag[0] != "I":
            if index > start and tags[start] != "O":
                yield range(start, index)
            start = index
