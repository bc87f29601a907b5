"""How the problems of a noun are told: all together, with the near name that may have been meant."""

from __future__ import annotations

import pytest

from launcher import Full, LoRA, Pretrained, Recipe, RecipeError, Table, Training


def test_all_problems_of_a_noun_come_together() -> None:
    with pytest.raises(RecipeError) as caught:
        Training(epochs=-1, batch=3, learning_rate="x", seed=True, schedule="lin")
    assert [problem.what for problem in caught.value.problems] == [
        "Training.epochs: input should be greater than or equal to 0 (got -1)",
        "Training.learning_rate: input should be a valid number (got 'x')",
        "Training.schedule: input should be 'linear', 'cosine' or 'constant' (got 'lin')",
        "Training.seed: input should be a valid integer (got True)",
        "Training.batch: there is no such field",
    ]
    assert caught.value.problems[-1].do == "did you mean 'batch_size'?"


def test_a_near_name_is_offered() -> None:
    with pytest.raises(RecipeError) as caught:
        LoRA(ranks=3)
    assert str(caught.value) == "LoRA.ranks: there is no such field\n  do:    did you mean 'rank'?"


def test_a_recipe_names_all_wrong_and_missing_nouns() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe(task=Full(), data=Table(train="a"), embeding=Pretrained(model="m"))
    told = [problem.what.split(":")[0] for problem in caught.value.problems]
    assert told == ["Recipe.task", "Recipe.embedding", "Recipe.peft", "Recipe.training", "Recipe.embeding"]
    assert caught.value.problems[-1].do == "did you mean 'embedding'?"
    assert caught.value.problems[1].do == "Recipe(task=…, data=…, embedding=…, peft=…, training=…)"
