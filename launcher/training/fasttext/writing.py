"""A model written as the official library writes it, so that it loads it. numpy only."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from launcher.training.fasttext.hashing import as_bytes
from launcher.training.fasttext.settings import Settings

_NOT_PRUNED = -1


def write_model(
    path: Path,
    settings: Settings,
    words: Sequence[str],
    word_counts: Sequence[int],
    labels: Sequence[str],
    label_counts: Sequence[int],
    input_rows: Iterable[np.ndarray],
    output: np.ndarray,
) -> None:
    """Write a `.bin`.

    `input_rows`: blocks of float32 [rows, dimension], together a row for each word and then one for each bucket
    (`Settings.hashed_rows`); they are written as they come, so a large matrix need never be whole. `output`: float32
    [labels, dimension] of a supervised model, of another one [words, dimension]. Raises ValueError for what does not
    fit together, and then leaves no file.
    """
    outputs = len(labels) if settings.supervised else len(words)
    if output.shape != (outputs, settings.dimension):
        raise ValueError(f"an output matrix of {output.shape}, where {(outputs, settings.dimension)} is needed")
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(settings.packed())
            file.write(_dictionary(words, word_counts, labels, label_counts))
            rows = len(words) + settings.hashed_rows
            file.write(struct.pack("<?qq", False, rows, settings.dimension))
            written = 0
            for block in input_rows:
                if block.shape[1:] != (settings.dimension,):
                    raise ValueError(f"rows of the shape {block.shape[1:]}, where ({settings.dimension},) is needed")
                written += len(block)
                file.write(np.ascontiguousarray(block, "<f4").data)
            if written != rows:
                raise ValueError(f"{written:,} rows of the input matrix, where {rows:,} are needed")
            file.write(struct.pack("<?qq", False, *output.shape))
            file.write(np.ascontiguousarray(output, "<f4").data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _dictionary(
    words: Sequence[str], word_counts: Sequence[int], labels: Sequence[str], label_counts: Sequence[int]
) -> bytes:
    counts = [*word_counts, *label_counts]
    numbers = len(words) + len(labels), len(words), len(labels), sum(counts), _NOT_PRUNED
    parts = [struct.pack("<iiiqq", *numbers)]
    for number, (entry, count) in enumerate(zip(as_bytes([*words, *labels]), counts, strict=True)):
        if b"\0" in entry:
            raise ValueError(f"{entry!r} holds the character that ends a word in the file")
        parts.append(entry + struct.pack("<xqb", count, number >= len(words)))
    return b"".join(parts)
