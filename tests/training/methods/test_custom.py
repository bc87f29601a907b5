"""Files of a user's own at work: what they are asked, what is kept of them, and what is said when they do otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from applying import apply, load_saved, save
from at_work import predicted, texts_of, work_of
from safetensors.torch import load_file, save_file
from test_methods import logits, three_steps, tiny_bert, trainable

from launcher import extend
from launcher.errors import PlanError, RecipeError
from launcher.recipe.method import CustomMethod
from launcher.recipe.source import CustomEmbedding, MeanPooling
from launcher.recipe.task import CustomTask, PlainTask, TextClassification, TokenClassification
from launcher.training import sources
from launcher.training.methods import method_work

torch.set_num_threads(1)

HEAD = 32 * 3 + 3
TOYS = Path(__file__).parents[1] / "toys"
RANDOM_INSIDE = """
import torch
from torch import nn

class Beside(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.register_buffer("drawn", torch.randn(base.in_features, 4))
        self.frozen = nn.Parameter(torch.randn(4, base.out_features), requires_grad=False)
        self.gate = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return self.base(x) + (x @ self.drawn * self.gate) @ self.frozen

def apply(model, new_modules):
    model.bert.encoder.layer[0].output.dense = Beside(model.bert.encoder.layer[0].output.dense)
"""


def toy(kind, name, **given):
    return kind(file=name, source=(TOYS / name).read_text(), **given)


SCALE = toy(CustomMethod, "scale_only.py", options={"ends": ["key", "value", "dense"]})
BASE = 2 * (32 + 32 + 32 + 64 + 32) + 32
"""Outputs of key, value and the three dense layers of each of two layers, and of the pooler's dense one."""


def method(source: str, **options) -> CustomMethod:
    return CustomMethod(file="my.py", source=source, options=options)


def seeded():
    torch.manual_seed(7)
    return tiny_bert().eval()


def test_a_method_trains_what_it_adds_and_the_head() -> None:
    model = seeded()
    begun = logits(model)
    assert apply(model, SCALE, ["classifier"]) is model
    assert torch.equal(logits(model), begun)
    assert trainable(model) == BASE + HEAD
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    three_steps(model)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if name.endswith(".scale") or name.startswith("classifier.")}


def test_options_reach_it() -> None:
    model = apply(seeded(), toy(CustomMethod, "scale_only.py", options={"ends": ["key"], "start": 2.0}), ["classifier"])
    scales = [p for name, p in model.named_parameters() if name.endswith(".scale")]
    assert [p.tolist() for p in scales] == [[2.0] * 32] * 2


@pytest.mark.parametrize("chosen", [SCALE, method(RANDOM_INSIDE)], ids=["scale", "with random frozen parts"])
def test_what_it_added_comes_back_bit_for_bit(chosen: CustomMethod, tmp_path: Path) -> None:
    assert not method_work(chosen).saves_whole
    model = apply(seeded(), chosen, ["classifier"])
    three_steps(model)
    save(model, chosen, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["custom.safetensors"]
    names = set(load_file(tmp_path / "custom.safetensors"))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained <= names and not any(".base." in name for name in names)
    base = seeded()
    torch.manual_seed(1)  # other random parts than the trained model has
    loaded = load_saved(base, chosen, ["classifier"], tmp_path)
    assert torch.equal(logits(loaded), logits(model))
    assert trainable(loaded) == 0


def test_saved_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="the saved weights cannot be read"):
        load_saved(seeded(), SCALE, ["classifier"], tmp_path)
    path = tmp_path / "custom.safetensors"
    save(apply(seeded(), SCALE, ["classifier"]), SCALE, tmp_path)
    tensors = load_file(path)
    save_file({**tensors, "classifier.bias": torch.zeros(5)}, path)
    with pytest.raises(PlanError, match=r"1 saved tensors do not fit .*: classifier\.bias"):
        load_saved(seeded(), SCALE, ["classifier"], tmp_path)
    save_file({name: value for name, value in tensors.items() if name != "classifier.bias"}, path)
    with pytest.raises(PlanError, match="1 saved tensors do not fit"):
        load_saved(seeded(), SCALE, ["classifier"], tmp_path)


def test_memory_is_planned_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = tiny_bert()
    apply(model, SCALE, ["classifier"])
    assert trainable(model) == BASE + HEAD
    assert {p.device.type for p in model.parameters()} == {"meta"}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def apply(model, new):\n    return model.bert", "apply in my.py returned a BertModel"),
        (
            "def apply(model, new):\n    model.classifier.requires_grad_(False)",
            "froze or replaced new layers: classifier",
        ),
        ("def apply(model, new):\n    x = 1\n    model.bart", "my.py: apply broke: AttributeError: "),
        ("import nothing_here\ndef apply(model, new): ...", "my.py: apply broke: ModuleNotFoundError: "),
    ],
)
def test_a_method_that_does_otherwise(source: str, told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        apply(seeded(), method(source), ["classifier"])
    (problem,) = caught.value.problems
    assert told in problem.what
    line = {"bart": ":3", "nothing_here": ":1"}
    assert problem.where == "my.py" + next((at for word, at in line.items() if word in source), "")


def test_a_method_that_trains_nothing() -> None:
    with pytest.raises(RecipeError, match=r"apply in my.py left nothing that trains"):
        apply(seeded(), method("def apply(model, new): ..."), [])


HASHED = toy(CustomEmbedding, "hashed_characters.py", dimension=16, encoder=MeanPooling(hidden=8), minimum_count=2)
SENTENCES = ["red red green", "green blue", "blue blue red"]


def test_vectors_become_the_table_of_a_model_that_needs_no_file(tmp_path: Path) -> None:
    task = TextClassification()
    assert sources.build_tokenizer(HASHED, task, SENTENCES, tmp_path) == HASHED.max_length
    model = sources.build_model(HASHED, task, ["a", "b"], tmp_path, 0.0).eval()
    table = model.get_input_embeddings().weight.detach()
    assert table.shape == (2 + 3, 16)
    assert torch.equal(table[0], torch.zeros(16))
    torch.testing.assert_close(table[2:].norm(dim=1), torch.ones(3))
    torch.testing.assert_close(table[1], table[2:].mean(0))
    ids = sources.load_tokenizer(tmp_path)("red never", return_tensors="pt").input_ids
    assert ids[0].tolist()[1] == 1
    model.save_pretrained(tmp_path / "saved")
    loaded = sources.load_model(tmp_path / "saved", task).eval()
    weights = loaded.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    # a matrix product may differ in its last bit with the place in memory where the same weights lie
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("return [[1.0] * dimension]", "vectors in my.py returned an array of shape [1, 16], not [3, 16]"),
        ("return [[1.0] * 3] * len(tokens)", "returned an array of shape [3, 3], not [3, 16]"),
        ("return 'red'", "my.py: vectors returned no array of numbers: ValueError"),
        ("return None", "vectors in my.py returned an array of shape [], not [3, 16]"),
        ("import math; return [[1.0] * 16, [math.nan] * 16, [2.0] * 16]", "a row that is not finite, for 'red'"),
        ("return tokens[0][99]", "my.py: vectors broke: IndexError: string index out of range"),
    ],
)
def test_vectors_that_are_none(source: str, told: str, tmp_path: Path) -> None:
    mine = CustomEmbedding(file="my.py", dimension=16, source=f"def vectors(tokens, dimension):\n    {source}\n")
    with pytest.raises(RecipeError) as caught:
        sources.build_tokenizer(mine, TextClassification(), SENTENCES, tmp_path)
    assert told in str(caught.value)


FOCAL = toy(CustomTask, "focal.py", options={"gamma": 0.0}, metrics={"errors": "min"})


def test_a_task_answers_as_its_file_says() -> None:
    outputs, wanted = {"logits": torch.randn(5, 3)}, {"labels": torch.tensor([0, 1, 2, 0, 1])}
    harder = toy(CustomTask, "focal.py", options={"gamma": 2.0}, metrics={"errors": "min"})
    same, more, plain = (work_of(task).loss(outputs, wanted)["loss"] for task in (FOCAL, harder, TextClassification()))
    torch.testing.assert_close(same, plain)
    assert more < plain
    assert work_of(FOCAL).score(texts_of([0, 1, 1]), predicted(np.array([0, 0, 0])))["errors"] == 2


NOTHING = "class Mine:\n    metric_names = ('accuracy', 'macro_f1')\ndef work(task, reader): return Mine()"
UNFINISHED = """
from launcher import extend
class Mine(extend.TaskWork): ...
def work(task, reader): return Mine(task, reader)
"""
ABSTRACT = "work broke: TypeError: Can't instantiate abstract class Mine"
INHERITS = """
from launcher import extend
class Mine(extend.TextClassificationWork):
    metric_names = ("hits", "accuracy", "macro_f1")
    def {method}
def work(task, reader): return Mine(task, reader)
"""


@pytest.mark.parametrize(
    ("source", "metrics", "told"),
    [
        (NOTHING, None, "work in my.py returned a Mine, which is no task"),
        (UNFINISHED, None, ABSTRACT),
        (INHERITS.format(method="pass_(self): ..."), {"misses": "max"}, "has metrics hits, accuracy, macro_f1; the"),
        ("def work(task, reader): return None", None, "returned a NoneType, which is no task"),
        (
            INHERITS.format(method="loss(self, logits): ..."),
            None,
            "whose loss cannot be called as loss(outputs,",
        ),
        (
            INHERITS.format(method="score(self): ..."),
            {"hits": "max"},
            "whose score cannot be called as score(",
        ),
    ],
)
def test_a_task_that_leaves_a_question_open(source, metrics, told) -> None:
    with pytest.raises(RecipeError) as caught:
        work_of(CustomTask(file="my.py", source=source, metrics=metrics))
    (problem,) = caught.value.problems
    assert told in problem.what and (problem.do or told == ABSTRACT)


def test_a_task_of_tokens_is_given_the_task_it_is_like() -> None:
    source = """
from launcher import extend
def work(task, reader): return extend.TokenClassificationWork(task, reader)
"""
    like = TokenClassification(tokens="characters")
    assert work_of(CustomTask(file="my.py", source=source, like=like)).tokens == "characters"


def test_the_names_that_users_files_import_are_all_there() -> None:
    works = {"CRFTaggingWork", "ContinuedTextWork", "NextSentenceWork", "TextToTextWork"}
    works |= {f"{task.__name__}Work" for task in get_args(get_args(PlainTask)[0])} - {
        "SummarisationWork",
        "TranslationWork",
    }
    seam = {"TaskWork", "Reader", "Split", "Ragged", "Encoded", "Kept", "Writes", "left_padded"}
    views = {"Confusion", "AgainstTheRest", "Bar", "Bars", "Sheet", "of_entities", "of_targets"}
    heads = {"CRFTokenClassification", "RelationExtraction", "TextEmbedding"}
    models = {"StaticVectorsForRelationExtraction"} | {f"AutoModelFor{head}" for head in heads}
    assert set(extend.__all__) == works | seam | views | models
    assert all(hasattr(extend, name) for name in extend.__all__)
    assert extend.TaskWork.__abstractmethods__ == {"encode", "example", "loss", "keep", "score", "tell"}
    assert not [work for work in works if getattr(extend, work).__abstractmethods__]
