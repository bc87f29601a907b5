"""Texts that a model wrote, beside what it went on from and what should have been written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

COLUMNS = {"prompt": "prompt", "reference": "reference", "text": "written"}


def side_by_side(texts: Sequence[Mapping[str, str]]) -> str:
    """A table in Markdown, a row each; what is written in them is shown as it is, and is no Markdown."""
    names = [name for name in COLUMNS if any(name in text for text in texts)]
    lines = [f"| {' | '.join(COLUMNS[name] for name in names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(text.get(name, '')) for name in names)} |" for text in texts]
    return "\n".join(lines)


def _cell(text: str) -> str:
    escaped = "".join(f"&#{ord(character)};" if _steers(character) else character for character in text)
    return escaped.replace("&#10;", "<br>")


def _steers(character: str) -> bool:
    """Whether Markdown or HTML might obey it."""
    return character == "\n" or (character.isascii() and not character.isalnum() and character not in " .,;:?'")
