"""The table of heads: each task's is in it, its classes are there, and they give what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from transformers import BertConfig

from launcher.recipe.declared import SPAN_ENDS
from launcher.recipe.fields import Field
from launcher.recipe.source import MeanPooling, RandomVectors
from launcher.recipe.task import (
    MaskedLanguageModel,
    PlainTask,
    Prompted,
    QuestionAnswering,
    TextClassification,
    TokenClassification,
    Translation,
)
from launcher.training.sources import build_model, build_tokenizer
from launcher.training.sources.heads import HEADS
from launcher.training.sources.pretrained import fit_config

SHAPE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 9}


class Score(TextClassification):
    """One number for one text."""

    fields = (Field("text", "text"), Field("label", "number"))


def test_every_task_has_its_head_in_the_table() -> None:
    tasks = get_args(get_args(PlainTask)[0])
    words = {"a": "one", "b": "two"}
    heads = {task.head for task in tasks if isinstance(task.head, str)}
    heads |= {Prompted(template=template, words=words).head for template in ("{text}", "{text} {mask}")}
    heads |= {TokenClassification(crf=crf).head for crf in (False, True)}
    heads |= {MaskedLanguageModel(next_sentence=two).head for two in (False, True)}
    heads |= {Translation(template=template).head for template in (None, "{text} {target}")}
    assert heads == set(HEADS) and all(task.bodies for task in tasks)
    static = {name for name, kind in HEADS.items() if kind.static is not None}
    ours = {"mask", "next", "image", "next tokens", "masked tokens", "pretraining", "text to text", "embedding"}
    assert heads - static == ours


@pytest.mark.parametrize(
    ("head", "task"),
    [
        ("sequence", TextClassification()),
        ("tokens", TokenClassification()),
        ("tag paths", TokenClassification(crf=True)),
    ],
)
def test_both_kinds_of_model_give_logits(head: Any, task: Any, tmp_path: Path) -> None:
    kind, ids = HEADS[head], torch.tensor([[2, 3]])
    pretrained = kind.auto_class().from_config(BertConfig(**SHAPE, num_labels=3))
    rows = ["one two", "two"] if head == "sequence" else [("one", "two"), ("two",)]
    source = RandomVectors(dimension=4, encoder=MeanPooling(hidden=4), tokens="words")
    build_tokenizer(source, task, rows, tmp_path)
    static = build_model(source, task, ["O", "B-X", "I-X"], tmp_path, None)
    assert type(static) is kind.static_class()
    wanted = [1, 3] if head == "sequence" else [1, 2, 3]
    for model in (pretrained, static):
        told = model(input_ids=ids)
        assert told.keys() - {"transitions", "start", "end"} == {"logits"} and list(told.logits.shape) == wanted
        assert list(told.get("transitions", torch.zeros(1, 3, 3)).shape) == [1, 3, 3]
    assert kind.auto_name == type(pretrained).__name__.replace("Bert", "AutoModel")


@pytest.mark.parametrize(
    ("task", "labels", "wanted"),
    [
        (TextClassification(), ["a", "b"], "single_label_classification"),
        (TokenClassification(), ["O", "B-X"], None),
        (Score(), ["label"], "regression"),
    ],
)
def test_the_kind_of_the_answer_says_what_kind_of_problem_it_is(
    task: Any, labels: list[str], wanted: str | None, tmp_path: Path
) -> None:
    source = RandomVectors(dimension=4, encoder=MeanPooling(hidden=4), tokens="words")
    build_tokenizer(source, task, [("one", "two")] if task.head == "tokens" else ["one two"], tmp_path)
    config = BertConfig(**SHAPE)
    fit_config(config, task, labels, tmp_path, None)
    static = build_model(source, task, labels, tmp_path, None).config
    for one in (config, static):
        assert (one.problem_type, one.num_labels) == (wanted, len(labels))


def test_both_kinds_of_model_give_two_numbers_a_token(tmp_path: Path) -> None:
    pretrained = HEADS["span"].auto_class().from_config(BertConfig(**SHAPE, num_labels=2))
    source = RandomVectors(dimension=4, encoder=MeanPooling(hidden=4), tokens="words")
    build_tokenizer(source, QuestionAnswering(), [("one", "two three")], tmp_path)
    static = build_model(source, QuestionAnswering(), SPAN_ENDS, tmp_path, None)
    assert type(static) is HEADS["span"].static_class() and HEADS["span"].rows == SPAN_ENDS
    for model in (pretrained.eval(), static.eval()):
        given = model(input_ids=torch.tensor([[2, 3, 4]]))
        assert set(given.keys()) == {"start_logits", "end_logits"} and list(given.end_logits.shape) == [1, 3]
        positions = {"start_positions": torch.tensor([1]), "end_positions": torch.tensor([2])}
        loss = model(input_ids=torch.tensor([[2, 3, 4]]), **positions).loss
        both = [given.start_logits.log_softmax(-1)[0, 1], given.end_logits.log_softmax(-1)[0, 2]]
        assert float(loss.detach()) == pytest.approx(-float(sum(both).detach()) / 2, abs=1e-6)
