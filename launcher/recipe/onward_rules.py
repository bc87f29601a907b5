"""`recipe_rules` about a run that begins with the model of another one."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem
from launcher.recipe.about_search import couples_rows
from launcher.recipe.fields import NAMED
from launcher.recipe.language_data import streams
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.task import answer_of, plain

AFTER = ("with_optimiser", "replay", "ewc", "lwf")
"""Fields that mean something only to a run that goes on from another one."""


def _without_a_run(loaded: LoadedRecipe) -> Iterator[Problem]:
    training = loaded.recipe.training
    if training.from_run is not None:
        return
    for name in AFTER:
        if getattr(training, name):
            what = f"training.{name} is about the run that this one begins with, and there is none"
            yield Problem(what, loaded.where(f"training.{name}"), "name it: --from RUN, or training.from_run")


def _continued(loaded: LoadedRecipe) -> Iterator[Problem]:
    """A run that is continued is one run: nothing of it may be another."""
    training = loaded.recipe.training
    for name in ("replay", "ewc", "lwf"):
        if training.with_optimiser and getattr(training, name):
            what = f"training.{name} is against forgetting, and a run that is continued has the same rows as before"
            yield Problem(what, loaded.where(f"training.{name}"), f"leave training.{name} or with_optimiser out")


def _schedule(loaded: LoadedRecipe) -> Iterator[Problem]:
    training, where = loaded.recipe.training, loaded.where("training.schedule_epochs")
    if training.schedule_epochs is None:
        return
    if streams(loaded.recipe.data):
        what = "nobody knows how many steps an epoch of a stream has, and training.schedule_epochs counts epochs"
        yield Problem(what, where, "leave it out")
    elif training.schedule_epochs < training.epochs:
        what = f"the schedule ends after {training.schedule_epochs} epochs, and {training.epochs} are trained"
        yield Problem(what, where, "leave it out, or raise it to training.epochs or more")


def _distilled(loaded: LoadedRecipe) -> Iterator[Problem]:
    training, task, where = loaded.recipe.training, plain(loaded.recipe.task), loaded.where("training.lwf")
    if not training.lwf:
        return
    if couples_rows(task):
        what = "learning without forgetting compares answers row by row, and this loss compares rows with each other"
        yield Problem(what, where, "use training.replay")
    if task.head == "tag paths":
        what = "learning without forgetting compares the answers to each token, and a CRF's are paths"
        yield Problem(what, where, "use training.replay or training.ewc, or leave task.crf out")
    for name in ("r_drop", "fgm", "packing"):
        if getattr(training, name):
            what = f"learning without forgetting has not been built for training.{name}"
            yield Problem(what, where, f"leave training.lwf or training.{name} out")
    if answer_of(task) not in (*NAMED, "number", "answers", "passage"):
        what = f"learning without forgetting compares answers over labels, and {task.kind} has none"
        yield Problem(what, where, "use training.replay or training.ewc")


def _consolidated(loaded: LoadedRecipe) -> Iterator[Problem]:
    training = loaded.recipe.training
    if training.ewc and couples_rows(loaded.recipe.task):
        what = "elastic weight consolidation weighs each row's own loss, and this loss compares rows with each other"
        yield Problem(what, loaded.where("training.ewc"), "use training.replay")
    if training.ewc and training.packing:
        what = "elastic weight consolidation weighs the weights row by row, and has not been built for packed rows"
        yield Problem(what, loaded.where("training.ewc"), "leave training.ewc or training.packing out")


RULES = (_without_a_run, _continued, _schedule, _distilled, _consolidated)
