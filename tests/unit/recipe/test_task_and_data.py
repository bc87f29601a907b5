"""What a task's rows must have, and what data lacks of it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from launcher import Columns, LabelledFiles, LabelledLines, Regression, Table, TextClassification, TokenClassification
from launcher.recipe.fields import Field
from launcher.recipe.task import lacking


@dataclass
class Relations:
    fields = (Field("text", "text"), Field("entities", "entities"), Field("label", "label"))


@dataclass
class Photos:
    fields = (Field("image", "image"), Field("caption", "text", optional=True), Field("label", "label"))


@pytest.mark.parametrize(
    ("task", "data", "lacks"),
    [
        (TextClassification(), LabelledLines, None),
        (TextClassification(), Columns, "label"),
        (Regression(), LabelledFiles, "number"),
        (TokenClassification(), Table, None),
        (Relations(), LabelledLines, "entities"),
        (Relations(), Columns, "label"),
        (Photos(), LabelledFiles, "image"),
    ],
)
def test_data_lacks_what_a_tasks_rows_must_have_first_the_answer(task, data, lacks) -> None:
    assert lacking(task, data.holds) == lacks


def test_an_optional_field_may_be_missing() -> None:
    assert lacking(Photos(), frozenset({"image", "label"})) is None
