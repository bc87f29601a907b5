"""The user's own files behind `CustomMethod`, `CustomEmbedding` and `CustomTask`: read and judged, never imported here.

Each family asks one function of its file, with its options as keyword arguments:

    CustomMethod      apply(model, new_modules, **options)     launcher/training/methods/user_method.py
    CustomEmbedding   vectors(tokens, dimension, **options)    launcher/training/sources/vectors/user_vectors.py
    CustomTask        work(task, **options)                    launcher/training/tasks/custom.py

The text travels in the recipe (`source`), and with it into digest, run folder and saved model: what trained is what
predicts. So the file is all that travels: it may import what is installed, but no file beside it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from launcher.errors import Problem, RecipeError, did_you_mean
from launcher.recipe.user_file import Custom

FUNCTIONS = {
    "CustomMethod": ("apply", ("model", "new_modules")),
    "CustomEmbedding": ("vectors", ("tokens", "dimension")),
    "CustomTask": ("work", ("task",)),
}
"""What each kind's function is called, and the arguments that come before the options."""
TAKEN = "recipe.py"
"""What the run folder calls the recipe's own copy."""


def text_of(custom: Custom, folder: Path) -> str:
    """The file's text, once its function is found to fit; `folder` is the recipe's.

    Raises RecipeError with all problems; those without a place are the noun's.
    """
    path = folder / custom.file
    inside = PurePosixPath(custom.file)
    if inside.is_absolute() or ".." in inside.parts or inside.suffix != ".py" or custom.file == TAKEN:
        do = "put a Python file beside the recipe, or below its folder, and give its path from there"
        raise RecipeError(Problem(f"{custom.file} cannot be a custom file", do=do))
    if not path.is_file():
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.py")]) if path.parent.is_dir() else ""
        raise RecipeError(Problem(f"there is no file {path}", do=near or "paths count from the recipe's folder"))
    try:
        text = path.read_text(encoding="utf-8-sig")
        tree = ast.parse(text, str(path))
    except SyntaxError as error:
        where = f"{path}:{error.lineno}"
        raise RecipeError(Problem(f"{custom.file} is not valid Python: {error.msg}", where)) from None
    except (OSError, ValueError) as error:
        raise RecipeError(Problem(f"{custom.file} cannot be read: {error}")) from None
    problems = list(_problems(custom, path, tree))
    if problems:
        raise RecipeError(problems)
    return text


def _problems(custom: Custom, path: Path, tree: ast.Module) -> Iterator[Problem]:
    """How the function differs from what the family calls."""
    kind = type(custom).__name__
    name, first = FUNCTIONS[kind]
    call = f"{name}({', '.join([*first, *(f'{option}=…' for option in custom.options)])})"
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if name not in defined:
        near = did_you_mean(name, defined)
        what = f"{custom.file} has no function {name}" + (f" ({near})" if near.startswith("did") else "")
        yield Problem(what, str(path), f"write def {call}: for {kind}")
        return
    found, where = defined[name].args, f"{path}:{defined[name].lineno}"
    positional = [argument.arg for argument in [*found.posonlyargs, *found.args]]
    if len(positional) < len(first) and found.vararg is None:
        got = ", ".join(positional) or "nothing"
        yield Problem(f"{name} in {custom.file} takes {got}, and is called as {call}", where, f"write def {call}:")
        return
    by_keyword = [argument.arg for argument in found.args if argument.arg not in positional[: len(first)]]
    by_keyword += [argument.arg for argument in found.kwonlyargs]
    required = positional[len(first) : len(positional) - len(found.defaults)]
    required += [a.arg for a, value in zip(found.kwonlyargs, found.kw_defaults, strict=True) if value is None]
    for option in custom.options:
        if option not in by_keyword and (found.kwarg is None or option in positional):
            what = f"{name} in {custom.file} takes no option {option!r}"
            yield Problem(what, where, did_you_mean(option, by_keyword) or "leave it out")
    for option in required:
        if option not in custom.options:
            do = f"write options={{{option!r}: …}}, or give it a default"
            yield Problem(f"{name} in {custom.file} needs the option {option!r}", where, do)
