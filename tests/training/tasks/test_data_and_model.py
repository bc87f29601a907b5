"""What is wrong with the data and what does not suit the model are told together, before anything is kept."""

import json

import pytest

from launcher import DataError, Full, Pretrained, Prompted, QuestionAnswering, Questions, Recipe, Table, Training
from launcher.training.prepare import prepare


def problems(task, data, model, **options):
    embedding = Pretrained(model=str(model), **options)
    recipe = Recipe(task=task, data=data, embedding=embedding, peft=Full(), training=Training())
    with pytest.raises(DataError) as caught:
        prepare(recipe)
    return [(problem.where, problem.what) for problem in caught.value.problems]


def test_a_stride_and_a_row(bert, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"question": "q", "context": "word1", "answers": "word2"}))
    data = Questions(train=str(path))
    (row, _), (stride, what) = problems(QuestionAnswering(stride=11), data, bert, max_length=24)
    assert (row, stride) == ("a.jsonl row 1", "task.stride") and what.startswith("windows cannot share 11 tokens")
    assert [where for where, _ in problems(QuestionAnswering(), data, bert)] == ["a.jsonl row 1"]


def test_a_template_a_row_and_a_missing_file(bert, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\nword1,\n")
    task = Prompted(template="{text} {mask}", words={"a": "word1", "b": "word3"})
    assert [where for where, _ in problems(task, Table(train=str(path)), bert)] == ["a.csv row 2", "task.template"]
    told = problems(task, Table(train=str(tmp_path / "b.csv")), bert)
    assert "there is no file" in told[0][1] and told[1][0] == "task.template"


def test_a_model_that_is_not_there(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"question": "q", "context": "c", "answers": "d"}))
    row, model = problems(QuestionAnswering(), Questions(train=str(path)), str(tmp_path / "none"))
    assert row[0] == "a.jsonl row 1" and "none" in "".join(model)
