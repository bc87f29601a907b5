"""Data of two sides, each in files of its own."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator

from launcher.recipe.fields import Kind
from launcher.recipe.noun import noun
from launcher.recipe.splits import Files, Splits

SIDES = ("text", "target")


def _sided(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError('give a file for each side: {"text": "train.en", "target": "train.de"}')
    return value


def _both(value: dict[str, Files]) -> dict[str, Files]:
    """Exactly the two sides."""
    if set(value) != set(SIDES):
        raise ValueError('give exactly two sides: {"text": "train.en", "target": "train.de"}')
    return {side: value[side] for side in SIDES}


Sides = Annotated[dict[str, Files], AfterValidator(_both), BeforeValidator(_sided)]
"""The files of each side."""


@noun
class ParallelLines(Splits):
    """Two files line by line: what stands on a line of one is to become what stands on that line of the other.

    A split is `{"text": "train.en", "target": "train.de"}`; a side may have several files, as many as the other and in
    the same order.
    """

    holds: ClassVar[frozenset[Kind]] = frozenset({"text", "target"})
    kind: Literal["ParallelLines"] = "ParallelLines"
    train: Sides
    """The rows to learn from: a location, or a list of them, for `text` and for `target`."""
    validation: Sides | None = None
    """The rows that choose the best checkpoint; None cuts them from the training split."""
    test: Sides | None = None
    """The rows that the finished model is tested on; None cuts them from the training split."""
