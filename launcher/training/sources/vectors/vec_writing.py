"""Vectors of words as text, `.vec`: a line with how many there are and how long, then a word and its numbers a line.

What fastText, word2vec and gensim read, and our own `WordVectors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

DIGITS = 9
"""So many tell any float32 from the next one."""


def writable(words: Sequence[str]) -> np.ndarray:
    """Which words such a file can hold, bool [words]: those without white space, which would end them."""
    return np.array([word != "" and not any(character.isspace() for character in word) for word in words], dtype=bool)


def write_vec(path: Path, words: Sequence[str], vectors: np.ndarray) -> int:
    """Write float32 [words, dimension]; how many words were left out because they hold white space."""
    kept = writable(words)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"{int(kept.sum())} {vectors.shape[1]}\n")
            for number in np.flatnonzero(kept).tolist():
                values = " ".join(f"{value:.{DIGITS}g}" for value in vectors[number].tolist())
                file.write(f"{words[number]} {values}\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return int((~kept).sum())
