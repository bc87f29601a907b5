"""What is wrong with the nouns of questions and their answers, and what others call their fields."""

from __future__ import annotations

from typing import Any

import pytest

from launcher import QuestionAnswering, Questions, RecipeError, Table
from launcher.recipe.task import answer_of, second_text, stride_of


@pytest.mark.parametrize(
    ("noun", "values", "what", "do"),
    [
        (QuestionAnswering, {"stride": 0}, "QuestionAnswering.stride: input should be greater than or equal to 1", ""),
        (QuestionAnswering, {"scored_as": "rouge"}, "QuestionAnswering.scored_as: input should be 'squad' or", ""),
        (QuestionAnswering, {"doc_stride": 64}, "QuestionAnswering.doc_stride: there is no such field", "'stride'"),
        (QuestionAnswering, {"max_answer_length": 9}, "QuestionAnswering.max_answer_length", "'longest_answer'"),
        (Questions, {"train": "a", "context": "c"}, "Questions.context: there is no such field", "'text_pair'"),
        (Questions, {"train": "a", "question": "q"}, "Questions.question: there is no such field", "'text'"),
    ],
)
def test_a_wrong_field_is_told_with_the_right_one(noun: Any, values: dict[str, Any], what: str, do: str) -> None:
    with pytest.raises(RecipeError) as caught:
        noun(**values)
    (problem,) = caught.value.problems
    assert problem.what.startswith(what) and do in problem.do


def test_questions_are_a_table_with_columns_as_squad_has_them() -> None:
    data = Questions(train="train.json")
    assert isinstance(data, Table) and (data.text, data.text_pair, data.label) == ("question", "context", "answers")
    assert data.holds == {"text", "answers"} and data.kind == "Questions"


def test_the_task_says_that_it_reads_two_texts_and_in_which_windows() -> None:
    second = second_text(QuestionAnswering())
    assert second is not None and not second.optional and answer_of(QuestionAnswering()) == "answers"
    assert (stride_of(QuestionAnswering()), stride_of(QuestionAnswering(stride=32))) == (None, 32)
