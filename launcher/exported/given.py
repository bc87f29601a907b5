"""What Python code hands to `predict`, as texts or pairs of texts, all else refused; and how much it is told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Set
from typing import Any

from launcher.errors import DataError, Problem

Text = str | tuple[str, str]
"""One text, or a pair of them."""
SHOWN = 3
"""How many wrong ones are named."""
WANTED = {
    True: ("pairs of texts", "give (text, text) for each"),
    False: ("single texts", "give a string for each"),
    None: ("texts and pairs of texts", "give a string or (text, text) for each"),
}


def texts_in(given: Any, pairs: bool | None) -> list[Text]:
    """The texts of a list, a column of a table, a generator; a string, or one pair, is one. Raises DataError.

    `pairs` is None where each may be either.
    """
    if isinstance(given, str) or (pairs is not False and isinstance(given, tuple) and _is_pair(given)):
        given = [given]
    texts = list(_ordered(given))
    wrong = [(index, text) for index, text in enumerate(texts) if not _fits(text, pairs)]
    if wrong:
        kinds, do = WANTED[pairs]
        shown = ", ".join(f"{_kind(text)} at index {index}" for index, text in wrong[:SHOWN])
        more = f", and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        raise DataError(Problem(f"the model takes {kinds}; there is {shown}{more}", do=do))
    refuse_halves(text if isinstance(text, str) else "".join(text) for text in texts)
    return [text if isinstance(text, str) else (str(text[0]), str(text[1])) for text in texts]


def refuse_halves(texts: Iterable[str]) -> None:
    """Raise DataError for texts with halves of characters: no tokenizer takes them."""
    wrong = [number for number, text in enumerate(texts, 1) if text.encode(errors="replace").decode() != text]
    if wrong:
        what = "bytes that are not UTF-8, or half of a surrogate pair, stand in text " + ", ".join(
            map(str, wrong[:SHOWN])
        )
        more = f" and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        raise DataError(Problem(what + more, do="write it in UTF-8"))


def no_mask(mask: str) -> Problem:
    """Of a text in which nothing is to be filled in."""
    what = f"the text has no {mask}, and the model says what could stand there"
    return Problem(what, do=f"write {mask} where a word is to be filled in")


def paths_in(given: Any) -> list[Text]:
    """The paths of images, or one alone. Raises DataError for what is no path."""
    paths = [given] if isinstance(given, str | os.PathLike) else list(_ordered(given))
    wrong = [(index, path) for index, path in enumerate(paths) if not isinstance(path, str | os.PathLike)]
    if wrong:
        shown = ", ".join(f"{_kind(path)} at index {index}" for index, path in wrong[:SHOWN])
        raise DataError(Problem(f"the model takes paths of images; there is {shown}", do="give the path of a file"))
    return [os.fspath(path) for path in paths]


def likeliest(answer: dict[str, Any], top: int) -> dict[str, Any]:
    """An answer with the `top` most probable alone of what it weighs, the first being the likeliest."""
    if isinstance(answers := answer.get("answers"), list):
        return {**answer, "answers": answers[:top]}
    if not isinstance(probabilities := answer.get("probabilities"), dict):
        return answer
    return {**answer, "probabilities": dict(sorted(probabilities.items(), key=lambda each: -each[1])[:top])}


def _ordered(given: Any) -> Iterable[Any]:
    if hasattr(given, "columns"):
        names = ", ".join(repr(str(name)) for name in list(given.columns)[:20])
        raise DataError(Problem(f"a whole table was given; its columns are {names}", do="give one column of it"))
    if isinstance(given, bytes | bytearray | Mapping | Set) or not isinstance(given, Iterable):
        do = "give a string, or a list of strings" + ("; decode bytes first" if isinstance(given, bytes) else "")
        raise DataError(Problem(f"{_kind(given)} was given where texts are needed", do=do))
    return given


def _fits(value: Any, pairs: bool | None) -> bool:
    return (pairs is not True and _is_text(value)) or (pairs is not False and _is_pair(value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, str) for part in value)


def _kind(value: Any) -> str:
    """What it is, in words."""
    if value is None:
        return "None"
    if isinstance(value, float) and value != value:
        return "a missing value (nan)"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    names = {"str": "a single text", "int": "a number", "float": "a number", "bytes": "bytes", "dict": "a dict"}
    return names.get(type(value).__name__, f"a {type(value).__name__}")
