"""`recipe_rules` about corpora that are streamed."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem, did_you_mean
from launcher.recipe.data import Texts
from launcher.recipe.language_data import streams
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.task import plain


def _stream(loaded: LoadedRecipe) -> Iterator[Problem]:
    data = loaded.recipe.data
    if not isinstance(data, Texts) or not streams(data):
        return
    if loaded.recipe.training.max_steps is None:
        what = "nobody knows how many rows a stream has before it has been read"
        yield Problem(what, loaded.where("training.max_steps"), "give training.max_steps")
    for name in ("validation", "test"):
        if getattr(data, name) is None and isinstance(getattr(data, f"{name}_size"), float):
            what = f"of a stream no fraction can be cut for {name}: nobody knows how many documents it has"
            do = f"give data.{name}_size a number of documents, as 500, or name files in data.{name}"
            yield Problem(what, loaded.where(f"data.{name}_size"), do)
    if plain(loaded.recipe.task).head == "pretraining":
        what = "half of the second sentences are another document's, and of a stream no others are at hand"
        do = "leave task.next_sentence out, or data.streaming"
        yield Problem(what, loaded.where("task.next_sentence"), do)
    needs_all = {"duplicates": data.duplicates == "drop", "shots": data.shots, "augment": data.augment}
    for name in (name for name, given in needs_all.items() if given):
        what = f"data.{name} needs all rows at once, and a stream is never held"
        yield Problem(what, loaded.where(f"data.{name}"), f"leave data.{name} out, or data.streaming")


def _mixture(loaded: LoadedRecipe) -> Iterator[Problem]:
    data = loaded.recipe.data
    if not isinstance(data, Texts):
        return
    if not streams(data):
        several, where = isinstance(data.train, dict), loaded.where("data.streaming")
        for name, given in {"train": several, "weights": data.weights, "faulty": data.faulty == "skip"}.items():
            if given:
                said = "by name" if name == "train" else f"= {getattr(data, name)!r}"
                yield Problem(f"data.{name} {said} is for streams", where, "add streaming=True")
        return
    if data.weights is None:
        return
    where = loaded.where("data.weights")
    names = list(data.train) if isinstance(data.train, dict) else []
    if not names:
        yield Problem("data.weights mixes several sources, and data.train is one", where, 'write {"name": "files"}')
        return
    for name in (name for name in data.weights if name not in names):
        yield Problem(f"data.weights names {name!r}, which data.train does not have", where, did_you_mean(name, names))
    if missing := [name for name in names if name not in data.weights]:
        do = "0 leaves a source out"
        yield Problem(f"data.weights says nothing of {', '.join(map(repr, missing))}", where, do)
    elif not any(data.weights[name] for name in names):
        yield Problem("all weights of the mixture are 0", where, "give a source a weight above 0")


RULES = (_stream, _mixture)
