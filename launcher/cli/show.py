"""`launcher show` and `launcher recipes`: what a recipe says, and recipes to start from."""

from __future__ import annotations

import ast
import contextlib
import shlex
import shutil
from pathlib import Path
from types import MappingProxyType

from launcher.cli.columns import flowing, terminal_width
from launcher.cli.display import print_json
from launcher.cli.result import print_chosen, print_lineage
from launcher.cli.summary import summary
from launcher.errors import BackendError, Problem, RecipeError, did_you_mean
from launcher.printing import one_line
from launcher.recipe.recipe import LoadedRecipe, document, from_document, load, shown, walk
from launcher.runs import run_folder
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.shipped_files import shipped

FROM_THE_DATA = ("task.labels", "task.tokens", "embedding.tokens", "task.like.labels", "task.like.tokens")
"""What is decided when the data is read, where the recipe leaves it open."""


def show_recipe(path: Path, overrides: dict[str, str], runs: Path, as_json: bool) -> None:
    """Every resolved value and its origin: the recipe, a default, derived from other values, --set, or --from.

    Of a run as well, where no file is called so: what it was made with, and which of its steps was chosen.
    """
    folder = None if path.suffix == ".py" or path.is_file() else _run(path, runs)
    if folder is not None and overrides:
        raise RecipeError(Problem("a run's values cannot be set", str(folder.path), "name the recipe's file"))
    loaded = load(path, overrides) if folder is None else _as_it_ran(folder)
    chosen = None if folder is None else summary(folder).choice()
    lineage = [] if folder is None else ((folder.ended() or {}).get("lineage") or [])
    rows = [(dotted, value, loaded.origins.get(dotted, "default")) for dotted, value, _ in walk(loaded.recipe)]
    if as_json:
        values = {dotted: {"value": value, "origin": origin} for dotted, value, origin in rows}
        content = {"recipe": document(loaded.recipe), "values": values}
        print_json(
            content if folder is None else {"run": str(folder.path), **content, "chosen": chosen, "lineage": lineage}
        )
        return
    recipe = loaded.recipe
    nouns = [recipe.task, recipe.data, recipe.embedding, recipe.peft, recipe.training]
    encoder = getattr(recipe.embedding, "encoder", None)
    kinds = [noun.kind + (f"({encoder.kind})" if noun is recipe.embedding and encoder else "") for noun in nouns]
    print(one_line(f"{path}: " + " x ".join(kinds)))
    width = max(len(dotted) for dotted, _, _ in rows)
    for dotted, value, origin in rows:
        text = "from the data" if dotted in FROM_THE_DATA and value is None else repr(value)
        text = shown(dotted, value) if origin == "derived" and dotted.endswith(".source") else text
        if origin == "--from" and dotted != "training.from_run":
            text += f" (follows from --from {recipe.training.from_run})"
        print(one_line(f"{dotted:<{width}}  {origin:<8} {text}"))
    print_chosen(chosen)
    print_lineage(lineage)


def _run(path: Path, runs: Path) -> RunFolder | None:
    """The run that is called so; None where there is none, so that the recipe is looked for."""
    with contextlib.suppress(BackendError):
        return run_folder.find(path, runs)
    return None


def _as_it_ran(folder: RunFolder) -> LoadedRecipe:
    """The recipe that a run was made with, from its folder."""
    stored = read_json(folder.recipe) or {}
    origins = {name: about["origin"] for name, about in stored["values"].items()}
    recipe = from_document(stored["recipe"])
    return LoadedRecipe(recipe, folder.source, "", origins=MappingProxyType(origins))


def list_recipes(as_json: bool) -> None:
    """Name and first line of each shipped recipe."""
    recipes = {path.stem: _first_line(path) for path in _paths()}
    if as_json:
        print_json({name: {"about": about} for name, about in recipes.items()})
        return
    width = max((len(name) for name in recipes), default=0)
    for name, about in recipes.items():
        first, *more = flowing(about.split(" "), (terminal_width() or 1000) - width - 2, joint=" ")
        print("\n".join([f"{name:<{width}}  {first}", *(f"{'':<{width}}  {line}" for line in more)]))
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
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.split("\n", 1)[0]
