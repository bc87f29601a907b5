"""How texts are to be written: settings that clash, what `--set` says at predict, and when an evaluation writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher import (
    CausalLanguageModel,
    CustomTask,
    Full,
    Generation,
    Pretrained,
    Recipe,
    RecipeError,
    Table,
    TextClassification,
    Texts,
    Training,
)
from launcher.recipe.generation import conflicts
from launcher.recipe.generation_rules import RULES, with_settings
from launcher.recipe.recipe import resolve
from launcher.recipe.task import generation_of


def recipe_of(task: object, **training: object) -> Recipe:
    data = Table(train="a.tsv") if isinstance(task, TextClassification) else Texts(train="a.txt")
    return Recipe(task=task, data=data, embedding=Pretrained(model="m"), peft=Full(), training=Training(**training))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, []),
        ({"do_sample": True, "temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.1, "seed": 7}, []),
        ({"num_beams": 4, "length_penalty": 2.0, "early_stopping": True}, []),
        ({"temperature": 0.5}, ["temperature"]),
        ({"top_k": 3, "top_p": 0.5}, ["top_k", "top_p"]),
        ({"length_penalty": 2.0}, ["length_penalty"]),
        ({"num_beams": 2, "do_sample": True}, ["do_sample"]),
        ({"min_new_tokens": 200}, ["min_new_tokens"]),
    ],
)
def test_settings_that_change_nothing_or_clash_are_named(settings: dict[str, object], fields: list[str]) -> None:
    assert [problem.where for problem in conflicts(Generation(**settings))] == fields  # type: ignore[arg-type]


def test_the_words_of_set_change_how_a_model_writes() -> None:
    recipe = with_settings(recipe_of(CausalLanguageModel()), {"num_beams": "4", "task.generation.max_new_tokens": "9"})
    assert generation_of(recipe.task) == Generation(num_beams=4, max_new_tokens=9)
    own = with_settings(recipe_of(CustomTask(file="x.py", like=CausalLanguageModel())), {"do_sample": "True"})
    assert generation_of(own.task) == Generation(do_sample=True)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"num_beam": "4"}, "there is no num_beam\n  where: --set num_beam=4\n  do:    did you mean 'num_beams'?"),
        ({"max_length": "4"}, "did you mean 'max_new_tokens'?"),
        (
            {"num_beams": "four"},
            "valid integer (got 'four')\n  where: --set num_beams=four",
        ),
        ({"temperature": "0"}, "temperature: input should be greater than 0 (got 0)"),
        (
            {"temperature": "0.5"},
            "the likeliest token is taken\n  where: --set temperature",
        ),
    ],
)
def test_wrong_words_of_set_are_told(sets: dict[str, str], said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        with_settings(recipe_of(CausalLanguageModel()), {**sets, "seed": "-1"} if "num_beam" in sets else sets)
    assert said in str(refused.value)
    assert ("seed" in str(refused.value)) == ("num_beam" in sets), "all that is wrong is said at once"


def test_a_task_that_writes_nothing_takes_no_settings() -> None:
    with pytest.raises(RecipeError, match="TextClassification writes no texts"):
        with_settings(recipe_of(TextClassification()), {"num_beams": "4"})
    loaded = resolve(recipe_of(TextClassification(), generate_rows=5, generate_every=2), Path("x.py"), "", {})
    said = [problem.what for rule in RULES for problem in rule(loaded)]
    assert [what.partition(" is of")[0] for what in said] == ["training.generate_every", "training.generate_rows"]


def test_a_recipe_with_settings_that_clash_is_refused() -> None:
    loaded = resolve(recipe_of(CausalLanguageModel(generation=Generation(top_k=3))), Path("x.py"), "", {})
    (problem,) = [problem for rule in RULES for problem in rule(loaded)]
    assert problem.what.startswith("top_k is of sampling")


def test_which_evaluations_write() -> None:
    """With evaluations every two of ten steps, the one before being the state of the loop."""

    def writing(every: int | None) -> list[int]:
        training, before, steps = Training(generate_every=every), -1, []
        for step in range(2, 11, 2):
            steps += [step] if training.writes_at(step, before, 10) else []
            before = step
        return steps

    assert writing(None) == writing(1) == [2, 4, 6, 8, 10]
    assert writing(4) == [4, 8, 10]
    assert writing(5) == [6, 10]
    assert writing(99) == [10]
    assert Training(epochs=0).writes_at(0, -1, 0)
