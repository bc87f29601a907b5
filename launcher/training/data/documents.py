"""What one document is in a text file: a line, the lines between two empty ones, or all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from launcher.recipe.language_data import Documents
from launcher.training.data.decoding import lines_of


def documents_in(text: str, documents: Documents) -> Iterator[tuple[int, str]]:
    """Each document with the number of its first line; a line alone may be an empty one, which the caller counts."""
    match documents:
        case "lines":
            yield from enumerate(lines_of(text), 1)
        case "blank lines":
            yield from _paragraphs(text)
        case "files":
            yield 1, text
        case _:
            assert_never(documents)


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    first, lines = 1, list[str]()
    for number, line in enumerate(lines_of(text), 1):
        if line.strip():
            first = first if lines else number
            lines.append(line)
        elif lines:
            yield first, "\n".join(lines)
            lines = []
    if lines:
        yield first, "\n".join(lines)
