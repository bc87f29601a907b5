"""All that is wrong with a recipe is told at once, with its lines: nouns, overrides, rules; and what was meant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import launcher
from launcher import RecipeError
from launcher.cli.overrides import parse_sets, texts_of
from launcher.host.facts import Facts
from launcher.launch.request import Request
from launcher.launch.run_request import gates
from launcher.plan.placement import Placement
from launcher.recipe.noun import NOUNS, field_names
from launcher.recipe.recipe import Recipe, load
from launcher.recipe.usual_names import OURS

PUBLIC = [noun for noun in NOUNS if noun.__name__ in launcher.__all__]
FACTS = Facts(cores=4, memory_bytes=2**34)


@pytest.mark.parametrize("noun", PUBLIC, ids=lambda noun: noun.__name__)
def test_a_wrong_noun_of_every_kind_does_not_hide_another(noun: type, write: Callable[..., Path]) -> None:
    path = write(f"from launcher import *\none = {noun.__name__}(nonsense=1)\ntwo = Training(\n    epochs=-1,\n)\n")
    with pytest.raises(RecipeError) as caught:
        load(path)
    told = {(problem.what, problem.where) for problem in caught.value.problems}
    assert (f"{noun.__name__}.nonsense: there is no such field", f"{path}:2") in told
    assert ("Training.epochs: input should be greater than or equal to 0 (got -1)", f"{path}:3") in told


WRONG = """from launcher import *

def adapter(size):
    return Adapter(bottleneck=size)

recipe = Recipe(
    task=TextClassification("positive"),
    data=Table(train="a.csv"),
    embedding=Pretrained(model="a", max_len=4),
    peft=adapter(0),
    training=Training(lr=1e-3, epochs=-1),
    more=1,
)
if __name__ == "__main__":
    start(recipe)
"""
FOUND = [
    ("TextClassification: write each value with its name", 7),
    ("Pretrained.max_len: there is no such field", 9),
    ("Adapter.bottleneck: input should be greater than or equal to 1 (got 0)", 4),
    ("Training.epochs: input should be greater than or equal to 0 (got -1)", 11),
    ("Training.lr: there is no such field", 11),
    ("Recipe.more: there is no such field", 6),
]


def test_a_whole_recipe_and_what_breaks_because_of_it(write: Callable[..., Path]) -> None:
    """Also where a placeholder breaks the rest of the module: what it broke is no problem of its own."""
    for text in (
        WRONG,
        WRONG.replace("if __name__", "wide = recipe.data.train.upper() + recipe.peft.nothing\nif __name__"),
    ):
        path = write(text)
        with pytest.raises(RecipeError) as caught:
            load(path)
        assert [(p.what, p.where) for p in caught.value.problems] == [(what, f"{path}:{n}") for what, n in FOUND]


def test_started_by_hand_it_tells_the_same(write: Callable[..., Path]) -> None:
    path = write(WRONG)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for what, line in FOUND:
        assert f"{what}\n  where: {path}:{line}\n" in done.stderr


def test_outside_a_file_a_noun_still_raises_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        launcher.Adapter(bottleneck=0)
    assert len(caught.value.problems) == 1


def test_wrong_overrides_hide_no_rule(write: Callable[..., Path]) -> None:
    """Nor a wrong custom file: all that stands in the way is told."""
    text = WRONG.partition("recipe =")[0] + (
        "recipe = Recipe(task=TextClassification(), data=Columns(train='a'), embedding=Pretrained(model='a'),\n"
        "    peft=CustomMethod(file='gone.py'), training=Training())\n"
    )
    request = Request(write(text), {"training.lr": "1", "training.seed": "x"}, Placement(), "a", facts=FACTS)
    with pytest.raises(RecipeError) as caught:
        gates(request)
    whats = " | ".join(problem.what for problem in caught.value.problems)
    for part in ("there is no training.lr", "Training.seed", "there is no file", "Columns holds one tag a token"):
        assert part in whats


def test_one_field_set_twice_is_refused_with_all_that_is_no_override() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_sets(["training.seed=1", "x", "training.seed =2"])
    whats = [problem.what for problem in caught.value.problems]
    assert whats == ["--set x: this is not KEY=VALUE", "training.seed is given twice: 1 and 2"]


@pytest.mark.parametrize("value", ["[" * 100_000, "[" * 900 + "]" * 900, "9" * 5000, "x" * 10**6, '{"a":' * 5000])
def test_an_absurd_override_is_refused_in_lines(value: str, write: Callable[..., Path]) -> None:
    for key in ("training.seed", "task.class_weights", "embedding.model.x", "peft.also_train"):
        with pytest.raises(RecipeError) as caught:
            load(write(), {key: value})
        assert all(len(line) < 1000 for line in str(caught.value).splitlines())
    with pytest.raises(RecipeError):
        parse_sets([value])


def test_python_values_become_what_would_be_typed() -> None:
    assert texts_of({"a": 1, "b": "x", "c": [1, None], "d": 0.5}) == {"a": "1", "b": "x", "c": "[1, null]", "d": "0.5"}
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ({1, 2}, deep):
        with pytest.raises(RecipeError, match="set holds what no override can say"):
            texts_of({"a": value})


@pytest.mark.parametrize(
    ("noun", "name", "field"),
    [
        ("Training", "lr", "learning_rate"),
        ("Training", "bs", "batch_size"),
        ("Training", "num_train_epochs", "epochs"),
        ("Training", "wd", "weight_decay"),
        ("Training", "warmup_ratio", "warmup"),
        ("Training", "per_device_train_batch_size", "micro_batch_size"),
        ("Training", "max_grad_norm", "clip_norm"),
        ("Training", "random_state", "seed"),
        ("Pretrained", "max_len", "max_length"),
        ("Pretrained", "model_name_or_path", "model"),
        ("LoRA", "r", "rank"),
        ("LoRA", "lora_alpha", "alpha"),
        ("LoRA", "target_modules", "targets"),
        ("Table", "text_column", "text"),
        ("Table", "dev", "validation"),
        ("Table", "sentence2", "text_pair"),
        ("BiLSTM", "hidden_size", "hidden"),
        ("RandomVectors", "dim", "dimension"),
    ],
)
def test_usual_names_lead_to_the_field(noun: str, name: str, field: str) -> None:
    with pytest.raises(RecipeError, match=f"did you mean {field!r}"):
        getattr(launcher, noun)(**{name: 1})


def test_a_field_of_another_noun_is_named() -> None:
    with pytest.raises(RecipeError, match="perhaps learning_rate of Training"):
        launcher.Adapter(lr=1)
    with pytest.raises(RecipeError, match="max_length of Pretrained"):
        launcher.Training(max_len=1)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("training.lr", "training.learning_rate"), ("lr", "training.learning_rate"), ("bs", "training.batch_size"),
     ("training.learning-rate", "training.learning_rate"), ("training.max_len", "embedding.max_length"),
     ("peft.r", "peft.rank"), ("data.dev", "data.validation"), ("seed", "training.seed")],
)  # fmt: skip
def test_usual_names_lead_to_the_override(typed: str, meant: str, write: Callable[..., Path]) -> None:
    with pytest.raises(RecipeError, match=f"did you mean '{meant}'"):
        load(write(), {typed: "1"})


def test_every_usual_name_leads_to_a_field_that_exists() -> None:
    fields = {name for noun in [*NOUNS, Recipe] for name in field_names(noun)}
    assert set(OURS) - fields <= {"separator"}
