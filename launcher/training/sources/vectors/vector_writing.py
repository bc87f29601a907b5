"""Word vectors as files: text that word2vec and fastText read too (`.vec`), or safetensors with the words beside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import DataError, Problem

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def write_vectors(path: Path, words: Sequence[str], vectors: npt.NDArray[np.float32], text: bool) -> None:
    """Write [words, dimension], as `text` or in safetensors, where the words are JSON in the metadata.

    Raises DataError for a word that a line of text cannot hold, and where the file cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        if text:
            _as_text(unfinished, path, words, vectors)
        else:
            from safetensors.numpy import save_file

            save_file({"vectors": vectors}, unfinished, {"words": json.dumps(list(words), ensure_ascii=False)})
        unfinished.replace(path)
    except OSError as error:
        raise DataError(Problem(f"the vectors cannot be written: {error}", str(path))) from None
    finally:
        unfinished.unlink(missing_ok=True)


def fits_a_line(word: str) -> bool:
    """Whether text can hold it: white space would end it."""
    return word.split() == [word]


def _as_text(file: Path, named: Path, words: Sequence[str], vectors: npt.NDArray[np.float32]) -> None:
    """A header, then a word and its numbers on each line: nine digits give every float32 back."""
    broken = next((word for word in words if not fits_a_line(word)), None)
    if broken is not None:
        what = f"{broken!r} cannot stand in a .vec, where blanks part a word from its numbers"
        raise DataError(Problem(what, str(named), "write a .safetensors, or leave the word out"))
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.write(f"{len(words)} {vectors.shape[1]}\n")
        for word, row in zip(words, vectors, strict=True):
            out.write(f"{word} {' '.join(f'{number:.9g}' for number in row.tolist())}\n")
