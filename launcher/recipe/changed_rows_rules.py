"""`recipe_rules` about rows that are changed for training: copied, moved where they are embedded, packed."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem
from launcher.recipe.about_images import reads_images
from launcher.recipe.fields import Kind
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.source import Static
from launcher.recipe.task import answer_of, plain

PLACES: tuple[Kind, ...] = ("answers", "image", "messages")
"""What a changed copy of a row would not have in the same place."""


def _augment(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, how = plain(loaded.recipe.task), loaded.recipe.data.augment
    if how is None:
        return
    marked = next((field.kind for field in task.fields if field.kind in PLACES), None)
    if marked is not None:
        what = "changes texts, and the rows are images" if marked == "image" else f"would move the {marked} of a text"
        yield Problem(f"augmentation {what}: {task.kind}", loaded.where("data.augment"), "leave data.augment out")
    if answer_of(task) == "passage":
        what = "a changed copy of a query would be told from the query, whose passage is its own"
        yield Problem(what, loaded.where("data.augment"), "leave data.augment out")
    if not how.operations:
        do = "give one of deletion, swap, noise and replacement (with synonyms) a rate above 0, or leave it out"
        yield Problem("this augmentation changes nothing: every rate is 0", loaded.where("data.augment"), do)
    elif how.synonyms is not None and not how.replacement:
        do = "give it a rate above 0, or leave synonyms out"
        yield Problem("the synonyms are never used: replacement is 0", loaded.where("data.augment.replacement"), do)
    if how.tokens is not None and answer_of(task) == "tags":
        what = f"the rows of {task.kind} are tokens already, and these are what augmentation changes"
        yield Problem(what, loaded.where("data.augment.tokens"), "leave data.augment.tokens out")


def _fgm(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, training, where = plain(loaded.recipe.task), loaded.recipe.training, loaded.where("training.fgm")
    if training.fgm is None:
        return
    if any(field.kind == "image" for field in task.fields):
        yield Problem(f"FGM moves embedded texts, and the rows of {task.kind} are images", where, "leave it out")
    if getattr(task, "calibrate_by", None) is not None:
        what = "FGM moves each row by its own gradient, and the text that calibrates has part in the loss of every row"
        yield Problem(what, where, "leave training.fgm or task.calibrate_by out")
    if training.compile:
        what = "FGM changes what the input embedding layer gives, which compiled code does not let it do"
        yield Problem(what, where, "leave training.fgm or training.compile out")


def _packing(loaded: LoadedRecipe) -> Iterator[Problem]:
    training, where = loaded.recipe.training, loaded.where("training.packing")
    if not training.packing:
        return
    if reads_images(loaded.recipe.task):
        what = f"packing leaves out padding, and the rows of {plain(loaded.recipe.task).kind} are images"
        yield Problem(what, where, "leave training.packing out")
    elif isinstance(loaded.recipe.embedding, Static):
        yield Problem("packing is for pretrained models, not for static vectors", where, "leave training.packing out")
    if training.compile:
        what = "packing has not been shown to give the same curve in compiled code"
        yield Problem(what, where, "leave training.packing or training.compile out")
