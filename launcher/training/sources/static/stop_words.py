"""Stop words: tokens that are left out of a text before it is looked up, from the recipe or from a file."""

from __future__ import annotations

import re
from pathlib import Path

from launcher.errors import DataError, Problem
from launcher.recipe.source import Static
from launcher.training.data.decoding import lines_of, read_text
from launcher.training.sources.reference import source_file


def of(embedding: Static) -> frozenset[str]:
    """The words as they are looked up. Raises RecipeError for a missing file, DataError for one without words."""
    given = embedding.stop_words
    if given is None:
        return frozenset()
    words = _read(source_file(given)) if isinstance(given, str) else given
    return frozenset(word.lower() if embedding.lowercase else word for word in words)


def pattern(words: frozenset[str]) -> str:
    """Matches a whole token that is one of them (Oniguruma, as the tokenizers library reads it)."""
    return r"\A(?:" + "|".join(re.escape(word) for word in sorted(words)) + r")\z"


def _read(path: Path) -> list[str]:
    words = [word for word in (line.strip() for line in lines_of(read_text(path, str(path))[0])) if word]
    if not words:
        raise DataError(Problem("there is no stop word in it", str(path), "one word a line"))
    return words
