"""A recipe that begins with a finished run's model: what follows from that run, and whether the two go together.

What follows is set as `--set` sets it, so that every process that imports the recipe again gets the same values; its
origin is told as `--from`:

    embedding.model         of a run that saved a whole model: that model
                            of one that saved adapters, and that the recipe names as `run:NAME`: the run's own base
    embedding.tokens        how that run's texts were cut, where the recipe leaves it open
    training.from_run       the run, where only `Pretrained(model="run:NAME")` names it
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from launcher.ancestor import Ancestor, ancestor
from launcher.errors import BackendError, LauncherError, PlanError, Problem
from launcher.plan.plan import Plan
from launcher.recipe.recipe import LoadedRecipe, document, settled, walk
from launcher.recipe.source import FromConfig, Pretrained, Static
from launcher.runs.run_files import read_json, read_plan
from launcher.runs.run_folder import RunFolder

OF_RUN = "run:"
OPEN = ("kind", "max_length", "encoder")
"""Fields of a source that may differ, or are looked at one by one."""
SAME = ("task", "data", "peft", "training.batch_size", "training.seed", "training.optimizer", "training.select_by")
"""What a run that goes on with its optimiser must have as before."""


def with_what_follows(loaded: LoadedRecipe, again: Callable[[dict[str, str]], LoadedRecipe]) -> LoadedRecipe:
    """The recipe with what follows from its run, made `again` with more overrides; its problems."""
    said = _said(loaded)
    if said is None:
        return loaded
    where = loaded.where("training.from_run" if loaded.recipe.training.from_run else "embedding.model")
    try:
        old = ancestor(said)
    except LauncherError as error:
        return _with_problems(loaded, [replace(problem, where=where) for problem in error.problems])
    problems = [*_another_body(loaded, old), *_another_method(loaded, old)]
    made = _told_apart(again({**loaded.overrides, **_following(loaded, old)}), loaded)
    problems += _not_continued(made, old) if made.recipe.training.with_optimiser else []
    return _with_problems(made, [replace(problem, where=problem.where or where) for problem in problems])


def _told_apart(made: LoadedRecipe, before: LoadedRecipe) -> LoadedRecipe:
    """The recipe with the origin of what followed, which was set as a user would set it."""
    then = {dotted: value for dotted, value, _ in walk(before.recipe)}
    origins = dict(made.origins)
    for dotted, value, _ in walk(made.recipe):
        if dotted not in before.overrides and dotted in made.overrides:
            origins[dotted] = "--from" if then.get(dotted) != value else before.origins.get(dotted, "default")
    if "training.from_run" in before.overrides:
        origins["training.from_run"] = "--from"
    return replace(made, origins=MappingProxyType(origins))


def _with_problems(loaded: LoadedRecipe, problems: list[Problem]) -> LoadedRecipe:
    return replace(loaded, problems=(*loaded.problems, *problems))


def _said(loaded: LoadedRecipe) -> str | None:
    """The run that the recipe begins with, as it names it."""
    return loaded.recipe.training.from_run or _named_as_model(loaded)


def _named_as_model(loaded: LoadedRecipe) -> str | None:
    embedding = loaded.recipe.embedding
    if isinstance(embedding, Pretrained) and embedding.model.startswith(OF_RUN):
        return embedding.model.removeprefix(OF_RUN)
    return None


def _following(loaded: LoadedRecipe, old: Ancestor) -> dict[str, str]:
    """Overrides, as typed."""
    embedding, theirs = loaded.recipe.embedding, old.recipe.embedding
    more = {"training.from_run": old.said}
    if isinstance(embedding, Pretrained):
        if old.whole:
            more["embedding.model"] = OF_RUN + old.said
            more |= {"embedding.decoder": "null"} if embedding.decoder is not None else {}
        elif isinstance(theirs, Pretrained) and _named_as_model(loaded) is not None:
            more["embedding.model"] = theirs.model
            more["embedding.new_tokens"] = json.dumps(theirs.new_tokens, ensure_ascii=False)
    if isinstance(embedding, Static) and isinstance(theirs, Static) and embedding.tokens is None and theirs.tokens:
        more["embedding.tokens"] = theirs.tokens
    return more


def _another_body(loaded: LoadedRecipe, old: Ancestor) -> Iterator[Problem]:
    """Where this recipe's source is another one than the run's."""
    mine, theirs = loaded.recipe.embedding, old.recipe.embedding
    if _named_as_model(loaded) is not None:
        if _named_as_model(loaded) != old.said:
            what = f"embedding.model names run {_named_as_model(loaded)}, and training.from_run names {old.said}"
            yield Problem(what, do="name one run")
        return
    if isinstance(mine, Pretrained) and old.whole and isinstance(theirs, Pretrained | FromConfig):
        if isinstance(theirs, FromConfig):
            what = f"run {old.name} is built on FromConfig(…), and this recipe on {mine.model}"
            yield Problem(what, do=f"write model='run:{old.said}', or embedding=FromConfig(…) as that run has it")
            return
        root = _root_of(theirs)
        if root not in (None, mine.model):
            what = f"run {old.name} is built on {root}, and this recipe on {mine.model}"
            yield Problem(what, do=f"write model={root!r}, or model='run:{old.said}'")
        return
    if mine.kind != theirs.kind:
        what = f"run {old.name} is built on {theirs.kind}(…), and this recipe on {mine.kind}(…)"
        yield Problem(what, do=f"write embedding={theirs.kind}(…) as run {old.name} has it, or leave the run out")
        return
    one, other = (_fields(document(recipe)["embedding"]) for recipe in (loaded.recipe, old.recipe))
    if isinstance(mine, Static) and mine.tokens is None:
        one.pop("tokens"), other.pop("tokens")
    changed = [name for name in other if one.get(name) != other[name]]
    if changed:
        named = ", ".join(f"{name} is {one.get(name)!r}, was {other[name]!r}" for name in changed)
        do = "write them as they were: another body or tokenizer cannot take its weights"
        yield Problem(f"the source of run {old.name} is another one: {named}", do=do)


def _fields(source: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in source.items() if name not in OPEN}
    encoder = source.get("encoder") or {}
    return fields | {f"encoder.{name}": value for name, value in encoder.items()}


def _root_of(source: Pretrained) -> str | None:
    """The model that the first of a row of runs was built on; None where one of them is gone."""
    while source.model.startswith(OF_RUN):
        try:
            before = ancestor(source.model.removeprefix(OF_RUN)).recipe.embedding
        except LauncherError:
            return None
        if not isinstance(before, Pretrained):
            return None
        source = before
    return source.model


def _another_method(loaded: LoadedRecipe, old: Ancestor) -> Iterator[Problem]:
    """Where what was trained beside a base is to be trained on by something else."""
    mine, theirs = document(loaded.recipe)["peft"], document(old.recipe)["peft"]
    if old.whole or mine == theirs:
        return
    others = [name for name in theirs if mine.get(name) != theirs[name]]
    others = ["kind"] if "kind" in others else others
    changed = [f"{name} is {mine.get(name)!r}, was {theirs[name]!r}" for name in others]
    do = f"write peft as it was, or make one whole model of it (launcher merge {old.said}) and build on that folder"
    what = f"run {old.name} trained {theirs['kind']} beside its base, and goes on with the same alone"
    yield Problem(f"{what}: {', '.join(changed)}", loaded.where("peft"), do)


def _not_continued(loaded: LoadedRecipe, old: Ancestor) -> Iterator[Problem]:
    """What keeps a run from being continued where its last step left it, as far as its recipe tells."""
    if old.run is None:
        what = f"{old.said} is a model's folder without its run, whose checkpoints hold the optimiser"
        yield Problem(what, do="name the run, or leave --with-optimiser out")
        return
    now, then = settled_now(loaded), settled(read_json(old.run.recipe) or {})
    for name in sorted(now.keys() | then.keys()):
        if name in SAME or name.partition(".")[0] in SAME:
            before, after = then.get(name), json.loads(json.dumps(now.get(name)))
            if before != after:
                what = f"{name} is {after!r}, and was {before!r} in run {old.name}, which is to be continued"
                yield Problem(what, loaded.where(name), "put it back, or leave --with-optimiser out")
    attempts = old.run.attempts()
    steps = attempts[-1].checkpoint_steps() if attempts else []
    made, planned = old.outcome.get("steps"), read_plan(old.run.plan)["steps"]
    if made != planned:
        what = f"run {old.name} ended by itself after step {made} of {planned}: nothing of it is left to continue"
        yield Problem(what, do="leave --with-optimiser out")
    elif not steps or steps[-1] != made:
        what = f"the checkpoint of the last step of run {old.name} is gone, and with it its optimiser"
        yield Problem(what, do="leave --with-optimiser out: the model alone is gone on with")


def settled_now(loaded: LoadedRecipe) -> dict[str, Any]:
    """The values of a recipe by their dotted names, and the kinds of its nouns, as `settled` has them of a run."""
    values = {dotted: {"value": value} for dotted, value, _ in walk(loaded.recipe)}
    return settled({"recipe": document(loaded.recipe), "values": values})


def refuse_replaced(loaded: LoadedRecipe, folder: RunFolder) -> None:
    """Raise BackendError where the new run's folder is that of the run it begins with: its model would be gone."""
    said = {loaded.recipe.training.from_run, _named_as_model(loaded)} - {None}
    if folder.path.resolve() in {ancestor(str(run)).model.resolve().parent for run in said}:
        what = f"run {folder.name} begins with the model of run {folder.name}, which it would replace"
        raise BackendError(Problem(what, str(folder.path), "choose another --name"))


def refuse_nothing_left(loaded: LoadedRecipe, plan: Plan) -> None:
    """Raise PlanError where a run that is continued has other data, or no step left to make."""
    training = loaded.recipe.training
    if not training.with_optimiser or training.from_run is None:
        return
    old = ancestor(training.from_run)
    if old.run is None:
        raise BackendError(Problem(f"{old.said} is no run", do="leave --with-optimiser out"))
    problems, then = [], read_plan(old.run.plan)
    if then.get("data", plan.data) != plan.data:
        what = f"the data is not what run {old.name} was trained on, and only the same can be continued"
        problems.append(Problem(what, loaded.where("data"), "put it back, or leave --with-optimiser out"))
    if plan.steps <= then["steps"]:
        what = f"run {old.name} has made its {then['steps']:,} steps, and this recipe makes {plan.steps:,} in all"
        problems.append(Problem(what, loaded.where("training.epochs"), "raise training.epochs: it counts them all"))
    if problems:
        raise PlanError(problems)
