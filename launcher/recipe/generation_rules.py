"""Rules about the texts that a model writes, and the settings of `launcher predict` and `chat`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from launcher.errors import Problem, RecipeError, short
from launcher.recipe.generation import Generation, conflicts
from launcher.recipe.noun import field_names
from launcher.recipe.recipe import LoadedRecipe, Recipe, override
from launcher.recipe.task import generation_of, is_custom
from launcher.recipe.usual_names import suggestion


def with_settings(recipe: Recipe, sets: Mapping[str, str]) -> Recipe:
    """The recipe whose model writes with these settings, as typed: `{"num_beams": "4"}`.

    Raises RecipeError with all that is wrong with them.
    """
    if not sets:
        return recipe
    if generation_of(recipe.task) is None:
        what = f"{recipe.task.kind} writes no texts, so that there is nothing to set"
        raise RecipeError(Problem(what, "--set", "leave it out"))
    below, known = _generation(recipe), field_names(Generation)
    problems = []
    for key, text in sets.items():
        name, where = key.removeprefix("task.").removeprefix("like.").removeprefix("generation."), f"--set {key}={text}"
        if name not in known:
            problems.append(Problem(f"there is no {short(key)}", short(where), suggestion(name, known)))
            continue
        try:
            recipe = override(recipe, f"{below}.{name}", text)
        except RecipeError as error:
            problems += [Problem(problem.what, short(where), problem.do) for problem in error.problems]
    settings = generation_of(recipe.task)
    if not problems and settings is not None:
        problems = [Problem(p.what, f"--set {p.where}", p.do) for p in conflicts(settings)]
    if problems:
        raise RecipeError(problems)
    return recipe


def _settings(loaded: LoadedRecipe) -> Iterator[Problem]:
    settings, below = generation_of(loaded.recipe.task), _generation(loaded.recipe)
    if settings is not None:
        yield from (Problem(p.what, loaded.where(f"{below}.{p.where}"), p.do) for p in conflicts(settings))


def _nothing_written(loaded: LoadedRecipe) -> Iterator[Problem]:
    task = loaded.recipe.task
    for name in ("generate_every", "generate_rows"):
        if getattr(loaded.recipe.training, name) is not None and generation_of(task) is None and not is_custom(task):
            what = f"training.{name} is of tasks whose model writes texts, and {task.kind} writes none"
            yield Problem(what, loaded.where(f"training.{name}"), "leave it out")


def _generation(recipe: Recipe) -> str:
    return "task.like.generation" if is_custom(recipe.task) else "task.generation"


RULES = (_settings, _nothing_written)
