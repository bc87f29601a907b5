"""What a recipe with fastText's own classifier or its subwords' rows cannot have (see `recipe_rules`)."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem
from launcher.recipe.data import Table
from launcher.recipe.method import CustomMethod, Full
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.source import FastText, FastTextClassifier
from launcher.recipe.task import plain


def _classifier(loaded: LoadedRecipe) -> Iterator[Problem]:
    recipe, embedding = loaded.recipe, loaded.recipe.embedding
    if not isinstance(embedding, FastTextClassifier):
        return
    if plain(recipe.task).head != "sequence":
        what = f"FastTextClassifier answers a whole text, and {plain(recipe.task).kind} needs more"
        yield Problem(what, loaded.where("embedding"), "use FastText(subword_rows=True), which has an encoder")
    elif isinstance(recipe.data, Table) and recipe.data.text_pair is not None:
        what = "FastTextClassifier takes one text, not a pair"
        yield Problem(what, loaded.where("embedding"), "use FastText(subword_rows=True), which reads each by itself")
    if not isinstance(recipe.peft, Full | CustomMethod):
        what = f"FastTextClassifier starts from nothing, so all of it trains, and not what {recipe.peft.kind} leaves"
        yield Problem(what, loaded.where("peft"), "write peft=Full()")


def _no_subwords(loaded: LoadedRecipe) -> Iterator[Problem]:
    embedding = loaded.recipe.embedding
    if not isinstance(embedding, FastText) or not embedding.subword_rows or embedding.model is not None:
        return
    if not embedding.longest_subword:
        what = "there are no subwords whose rows could train where longest_subword is 0"
        yield Problem(what, loaded.where("embedding.subword_rows"), "leave one of the two out")


RULES = (_classifier, _no_subwords)
