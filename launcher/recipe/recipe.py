"""A recipe: task x data x embedding source x method x training. Loading one, overriding it, its digest.

This module knows values and where they came from; it does not know what they do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from launcher.errors import LauncherError, Problem, RecipeError, did_you_mean, short
from launcher.recipe import beside, later, loading, recipe_text, user_file_check
from launcher.recipe.data import Data
from launcher.recipe.method import Peft
from launcher.recipe.noun import field_names, given_fields, noun, problems_of, several
from launcher.recipe.source import Embedding, FromConfig, Static
from launcher.recipe.task import Task, metrics_of, tokens_of_rows
from launcher.recipe.training import Training
from launcher.recipe.user_file import Custom
from launcher.recipe.usual_names import as_json, meant

AS_PYTHON = {"True": True, "False": False, "None": None}
"""Values that JSON writes otherwise."""
Origin = Literal["recipe", "default", "derived", "--set", "--from"]
"""`--from`: it follows from the run that this one begins with (`launch/onward.py`)."""


@noun
class Recipe:
    """What is trained. Where it is trained is chosen at launch."""

    task: Task
    """What is learnt from a row."""
    data: Data
    """Where the rows come from, and which columns hold what."""
    embedding: Embedding
    """Where the model comes from: a pretrained transformer, or vectors and an encoder."""
    peft: Peft
    """Which parameters train."""
    training: Training
    """How the parameters are fitted."""


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe with every value resolved, and where each value came from."""

    recipe: Recipe
    path: Path
    source: str
    overrides: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))
    origins: MappingProxyType[str, Origin] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()
    """What is wrong with overrides and custom files; the values are then those without them."""
    given: bool = False
    """Made by Python code and handed over: no file yields it, and `source` is written from its values."""

    @property
    def name(self) -> str:
        """The recipe's short name: its file's."""
        return self.path.stem

    def where(self, dotted: str) -> str:
        """`recipes/x.py:14`, the line on which this value stands (or would stand) in the recipe."""
        if dotted in self.overrides:
            return short(f"--set {dotted}={self.overrides[dotted]}")
        if self.given:
            return f"{dotted} of the recipe that was given"
        return f"{self.path}:{loading.line_of(self.source, dotted.split('.'))}"

    def placed(self, error: LauncherError) -> LauncherError:
        """The error; problems whose `where` is a field of the recipe get the line on which the field is written."""
        names = {dotted for dotted, _, _ in walk(self.recipe)} | set(field_names(Recipe))
        problems = (replace(p, where=self.where(p.where)) if p.where in names else p for p in error.problems)
        return type(error)(problems)


def load(path: str | Path, overrides: dict[str, str] | None = None) -> LoadedRecipe:
    """Import the recipe module at `path`, apply `--set` overrides, resolve what is left open.

    Raises RecipeError for a missing file, a broken module, wrong values and wrong overrides.
    """
    return sound(read(Path(path), overrides or {}))


def read(path: Path, overrides: dict[str, str]) -> LoadedRecipe:
    """The same, but problems of overrides and custom files are returned with the recipe; only others are raised."""
    source, recipe = _import(path)
    return _resolved(recipe, path, source, overrides)


def sound(loaded: LoadedRecipe) -> LoadedRecipe:
    """The same recipe, without problems. Raises RecipeError where it has any."""
    if loaded.problems:
        raise RecipeError(loaded.problems)
    return loaded


def given(recipe: Recipe, path: Path, overrides: dict[str, str]) -> LoadedRecipe:
    """As `read`, of a recipe that the code at `path` has made. Custom files count from the folder of `path`."""
    loaded = replace(_resolved(recipe, path, "", overrides), given=True)
    return replace(loaded, source=recipe_text.written(loaded.recipe))


def resolve(recipe: Recipe, path: Path, source: str, overrides: dict[str, str]) -> LoadedRecipe:
    """Apply overrides and fill the values that follow from others. Raises RecipeError where these cannot be."""
    return sound(_resolved(recipe, path, source, overrides))


def _resolved(recipe: Recipe, path: Path, source: str, overrides: dict[str, str]) -> LoadedRecipe:
    """The recipe with each value's origin, and with what is wrong beside it."""
    origins: dict[str, Origin] = {dotted: "recipe" if given else "default" for dotted, _, given in walk(recipe)}
    problems = []
    for dotted, text in overrides.items():
        try:
            recipe = override(recipe, dotted, text)
            origins[dotted] = "--set"
        except RecipeError as error:
            problems += [Problem(p.what, short(f"--set {dotted}={text}"), p.do) for p in error.problems]
    loaded = LoadedRecipe(recipe, path, source, MappingProxyType(overrides), MappingProxyType(origins))
    for dotted, value in [*_derived(recipe), *_sources(loaded, problems)]:
        recipe = _with_value(recipe, dotted.split("."), value)
        origins[dotted] = "derived"
    return replace(loaded, recipe=recipe, problems=tuple(problems))


def customs(recipe: Recipe) -> dict[str, Custom]:
    """The open members that this recipe uses, by the name of their field."""
    members = {"task": recipe.task, "embedding": recipe.embedding, "peft": recipe.peft}
    return {name: member for name, member in members.items() if isinstance(member, Custom)}


def _sources(loaded: LoadedRecipe, problems: list[Problem]) -> list[tuple[str, str]]:
    """The texts of the user's own files; adds to `problems` all that is wrong with all of them."""
    texts = []
    for name, custom in customs(loaded.recipe).items():
        try:
            texts.append((f"{name}.source", user_file_check.text_of(custom, loaded.path.resolve().parent)))
        except RecipeError as error:
            where = loaded.where(f"{name}.file")
            problems += [Problem(p.what, p.where or where, p.do) for p in error.problems]
    return texts


def shown(dotted: str, value: Any) -> str:
    """A value as a line can hold it: of a custom file's text only how long it is, and a digest."""
    if dotted.endswith(".source") and isinstance(value, str):
        return f"{len(value.splitlines())} lines, sha256 {hashlib.sha256(value.encode()).hexdigest()[:12]}"
    return json.dumps(value, ensure_ascii=False)


def settled(stored: dict[str, Any]) -> dict[str, Any]:
    """The values of a run's recipe.json by their dotted names, and the kind of each noun by the noun's name."""

    def kinds(below: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for name, value in below.items():
            if isinstance(value, dict) and "kind" in value:
                yield f"{prefix}{name}", value["kind"]
                yield from kinds(value, f"{prefix}{name}.")

    values = {name: about["value"] for name, about in stored.get("values", {}).items()}
    return {**dict(kinds(stored.get("recipe", {}), "")), **values}


def walk(value: Any, prefix: str = "") -> Iterator[tuple[str, Any, bool]]:
    """Every field below a noun as (dotted name, value, was it written out), depth first.

    Several nouns in one field are its value, as `--set` takes it.
    """
    given = given_fields(value)
    for name in field_names(type(value)):
        below = getattr(value, name)
        if is_dataclass(below):
            yield from walk(below, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", to_jsonable_python(below) if several(below) else below, name in given


def document(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON values, each noun with its `kind`."""
    result: dict[str, Any] = TypeAdapter(Recipe).dump_python(recipe, mode="json")
    return result


def from_document(values: dict[str, Any]) -> Recipe:
    """The recipe that `document` described, whichever version wrote it."""
    if isinstance(values.get("embedding"), dict):
        values = {**values, "embedding": beside.from_earlier(values["embedding"])}
    try:
        return TypeAdapter(Recipe).validate_json(json.dumps(values))
    except ValidationError as error:
        raise RecipeError(problems_of(error, Recipe)) from None


def digest(recipe: Recipe) -> str:
    """SHA-256 over the resolved values (not over source text), 64 hex digits."""
    values = document(recipe)
    values = later.as_digested(values)
    values["embedding"] = beside.as_digested(values["embedding"])
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _import(path: Path) -> tuple[str, Recipe]:
    source, module = loading.imported(path)
    recipe = getattr(module, "recipe", None)
    if not isinstance(recipe, Recipe):
        what = "the module has no value `recipe`" if recipe is None else "`recipe` is not a Recipe"
        raise RecipeError(Problem(what, str(path), "write `recipe = Recipe(task=…, data=…, …)`"))
    return source, recipe


def override(recipe: Recipe, dotted: str, text: str) -> Recipe:
    """Set one field from the command line: a JSON value, or else the bare text, whichever the field takes."""
    holder: Any = recipe
    *path, name = dotted.split(".")
    for step in path:
        if not is_dataclass(holder) or step not in field_names(type(holder)):
            raise RecipeError(Problem(f"there is no {short(dotted)}", do=_near(recipe, dotted)))
        holder = getattr(holder, step)
    if not is_dataclass(holder) or name not in field_names(type(holder)):
        raise RecipeError(Problem(f"there is no {short(dotted)}", do=_near(recipe, dotted)))
    if is_dataclass(getattr(holder, name)):
        below = [name for name, _, _ in walk(recipe) if name.startswith(f"{dotted}.")]
        do = "which one it is, the recipe says" + (f"; set {', '.join(below)}" if below else "")
        raise RecipeError(Problem(f"{dotted} is an object; set one of its fields", do=do))
    values = TypeAdapter(type(holder)).dump_python(holder, mode="json")
    failure: ValidationError | None = None
    for value in _readings(text):
        try:
            made = TypeAdapter(type(holder)).validate_json(json.dumps({**values, name: value}))
            changed: Recipe = _with_value(recipe, dotted.split("."), getattr(made, name))
            return changed
        except ValidationError as error:
            failure = failure or error
        except RecursionError:
            raise RecipeError(Problem(f"{dotted}: the value is nested too deeply")) from None
    assert failure is not None
    raise RecipeError(problems_of(failure, type(holder)))


def _readings(text: str) -> list[Any]:
    if text in AS_PYTHON:
        return [AS_PYTHON[text], text]
    try:
        return [json.loads(text), text]
    except (ValueError, RecursionError):
        return [text]


def _near(recipe: Recipe, dotted: str) -> str:
    """The field that was meant; else those of its noun, or of all nouns where it names none."""
    names = [name for name, _, _ in walk(recipe)]
    noun, _, last = dotted.partition(".")[0], *dotted.rpartition(".")[1:]
    alike = [name for name in names if name.rpartition(".")[2] == last]
    mine = [name for name in names if name.startswith(f"{noun}.")]
    if noun in field_names(Recipe) and not mine:
        return f"{noun} is {getattr(recipe, noun).kind}(), which has no fields"
    usual = meant(last, {name.rpartition(".")[2] for name in names})
    same = [name for name in [*mine, *sorted(names, reverse=True)] if name.rpartition(".")[2] in usual]
    if same:
        return as_json(last, same[0]) or f"did you mean {same[0]!r}?"
    return did_you_mean(dotted, alike or mine or names)


def _with_value(holder: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    below = _with_value(getattr(holder, name), rest, value) if rest else value
    given = {f.name: getattr(holder, f.name) for f in fields(holder)}
    return replace(holder, **{**given, name: below})


def _derived(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    """The values a recipe may leave open and that follow from its others."""
    if recipe.training.learning_rate is None:
        yield "training.learning_rate", _usual_learning_rate(recipe)
    if recipe.training.select_by is None:
        yield "training.select_by", next(iter(metrics_of(recipe.task)))
    if isinstance(recipe.embedding, Static) and recipe.embedding.tokens is None:
        tokens = tokens_of_rows(recipe.task)
        if tokens is not None:
            yield "embedding.tokens", tokens


def _usual_learning_rate(recipe: Recipe) -> float:
    optimizer = recipe.training.optimizer
    if isinstance(recipe.embedding, FromConfig):
        return {"adamw": 1e-3, "sgd": 0.1, "adafactor": 1e-2}[optimizer]
    if isinstance(recipe.embedding, Static):
        return {"adamw": 2e-3, "sgd": 0.1, "adafactor": 1e-2}[optimizer]
    return recipe.peft.usual_learning_rates[optimizer]
