"""What the recipe alone decides of templates, few labels and models that are tested as they are."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem
from launcher.recipe import template
from launcher.recipe.data import Table
from launcher.recipe.fields import NEEDED
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.source import Pretrained, Static
from launcher.recipe.task import answer_of, is_custom, plain, template_of, words_of


def _prompt(loaded: LoadedRecipe) -> Iterator[Problem]:
    recipe, written = loaded.recipe, template_of(loaded.recipe.task)
    if written is None:
        return
    below = "task.like." if is_custom(recipe.task) else "task."
    pair = recipe.data.text_pair if isinstance(recipe.data, Table) else None
    for field, faults in (
        ("template", template.faults_in(written, pair)),
        ("words", template.faults_of_words(words_of(recipe.task))),
    ):
        yield from (Problem(what, loaded.where(below + field), do) for what, do in faults)


def _body(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, embedding = plain(loaded.recipe.task), loaded.recipe.embedding
    if isinstance(embedding, Static) and template_of(loaded.recipe.task) is not None:
        what = f"{task.kind} takes a pretrained model with the head that it came with; static vectors have none"
        yield Problem(what, loaded.where("embedding"), "use Pretrained(model=…)")


def _shots(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, data = plain(loaded.recipe.task), loaded.recipe.data
    if data.shots is not None and answer_of(task) != "label":
        what = f"data.shots counts rows of each label; {task.kind} needs {NEEDED[answer_of(task)]}"
        yield Problem(what, loaded.where("data.shots"), "leave it out")


def _untrained(loaded: LoadedRecipe) -> Iterator[Problem]:
    begun = isinstance(loaded.recipe.embedding, Pretrained) or loaded.recipe.training.from_run
    if loaded.recipe.training.epochs == 0 and not begun:
        what = "epochs=0 tests a model as it is, and the encoder of static vectors begins with random numbers"
        yield Problem(what, loaded.where("training.epochs"), "train it, or use a pretrained model")


RULES = (_prompt, _body, _shots, _untrained)
