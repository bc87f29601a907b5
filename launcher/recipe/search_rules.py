"""`recipe_rules` about tasks that compare texts with each other: vectors that texts are found by, and rerankers."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem
from launcher.recipe.about_search import couples_rows
from launcher.recipe.data import Pairs
from launcher.recipe.method import HeadOnly
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.task import lacking, plain


def _single_rows(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, training = plain(loaded.recipe.task), loaded.recipe.training
    for name in ("r_drop", "fgm"):
        if getattr(training, name) and couples_rows(loaded.recipe.task):
            what = f"{task.kind} compares the rows of a batch with each other, and training.{name} is about single rows"
            yield Problem(what, loaded.where(f"training.{name}"), "leave it out")


def _one_row(loaded: LoadedRecipe) -> Iterator[Problem]:
    task = plain(loaded.recipe.task)
    if loaded.recipe.training.batch_size == 1 and couples_rows(loaded.recipe.task):
        what = f"{task.kind} compares the rows of a batch with each other, and a batch of 1 has no other"
        yield Problem(what, loaded.where("training.batch_size"), "write 32 or more")


def _negatives(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, data = plain(loaded.recipe.task), loaded.recipe.data
    lacked = lacking(task, frozenset({"text", "passage"}))
    if isinstance(data, Pairs) and data.negatives is None and lacked == "passages":
        what = f"{task.kind} learns from passages that do not belong to a query, and no column of them is named"
        do = 'write Pairs(…, negatives="negatives"); `launcher mine` finds such passages'
        yield Problem(what, loaded.where("data.negatives"), do)


def _no_head(loaded: LoadedRecipe) -> Iterator[Problem]:
    task = plain(loaded.recipe.task)
    if isinstance(loaded.recipe.peft, HeadOnly) and task.head == "embedding":
        what = f"HeadOnly trains what is put on a model, and {task.kind} puts nothing on it that has weights"
        yield Problem(what, loaded.where("peft"), "use Full() or LoRA()")


RULES = (_no_head, _single_rows, _one_row, _negatives)
