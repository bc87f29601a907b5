"""`launcher show` and `launcher recipes`: what a recipe says, and recipes to start from."""

from __future__ import annotations

import ast
import shlex
import shutil
from pathlib import Path

from launcher.cli.display import print_json
from launcher.errors import Problem, RecipeError, did_you_mean
from launcher.recipe import document, load, shown, walk
from launcher.shipped import shipped

FROM_THE_DATA = ("task.labels", "task.tokens", "embedding.tokens", "task.like.labels", "task.like.tokens")
"""What is decided when the data is read, where the recipe leaves it open."""


def show_recipe(path: Path, overrides: dict[str, str], as_json: bool) -> None:
    """Every resolved value and its origin: the recipe, a default, derived from other values, or --set."""
    loaded = load(path, overrides)
    rows = [(dotted, value, loaded.origins.get(dotted, "default")) for dotted, value, _ in walk(loaded.recipe)]
    if as_json:
        values = {dotted: {"value": value, "origin": origin} for dotted, value, origin in rows}
        print_json({"recipe": document(loaded.recipe), "values": values})
        return
    recipe = loaded.recipe
    nouns = [recipe.task, recipe.data, recipe.embedding, recipe.peft, recipe.training]
    encoder = getattr(recipe.embedding, "encoder", None)
    kinds = [noun.kind + (f"({encoder.kind})" if noun is recipe.embedding and encoder else "") for noun in nouns]
    print(f"{path}: " + " x ".join(kinds))
    width = max(len(dotted) for dotted, _, _ in rows)
    for dotted, value, origin in rows:
        text = "from the data" if dotted in FROM_THE_DATA and value is None else repr(value)
        text = shown(dotted, value) if origin == "derived" and dotted.endswith(".source") else text
        print(f"{dotted:<{width}}  {origin:<8} {text}")


def list_recipes(as_json: bool) -> None:
    """Name and first line of each shipped recipe."""
    found = {path.stem: _first_line(path) for path in _paths()}
    if as_json:
        print_json({name: {"about": about} for name, about in found.items()})
        return
    width = max((len(name) for name in found), default=0)
    for name, about in found.items():
        print(f"{name:<{width}}  {about}")
    print("\nstart from one: launcher recipes copy NAME")


def copy_recipe(name: str, to: Path | None) -> None:
    """Copy one; raises RecipeError for an unknown name or a file that is there already."""
    paths = {path.stem: path for path in _paths()}
    if name not in paths:
        raise RecipeError(Problem(f"there is no shipped recipe {name!r}", do=did_you_mean(name, paths)))
    target = to or Path(f"{name}.py")
    if target.exists():
        raise RecipeError(Problem("the file is there already", str(target), "choose another with --to"))
    try:
        shutil.copyfile(paths[name], target)
    except OSError as error:
        what = f"the recipe cannot be written: {error.strerror}"
        raise RecipeError(Problem(what, str(target), "choose another with --to")) from None
    print(f"{target}\nrun it: launcher run {shlex.quote(str(target))}")


def _paths() -> list[Path]:
    return sorted(shipped("recipes").glob("*.py"))


def _first_line(path: Path) -> str:
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return told.split("\n", 1)[0]
