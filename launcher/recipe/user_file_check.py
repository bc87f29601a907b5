"""The user's own files behind `CustomMethod`, `CustomEmbedding` and `CustomTask`: read and judged, never imported here.

Each family calls one function of its file, with the options as keyword arguments:

    CustomMethod      apply(model, new_modules, **options)     launcher/training/methods/user_method.py
    CustomEmbedding   vectors(tokens, dimension, **options)    launcher/training/sources/vectors/user_vectors.py
    CustomTask        work(task, reader, **options)                    launcher/training/tasks/custom.py
    CustomTracker     track(event, **options)                  launcher/training/tracking/own_file.py

and these as well, if the file defines them:

    CustomMethod      penalty(model, **options)     after_step(model, step, **options)

The text travels in the recipe (`source`), and with it into digest, run folder and saved model: what trained is what
predicts. So the file is all that travels: it may import what is installed, but no file beside it.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from launcher.errors import Problem, RecipeError, did_you_mean
from launcher.recipe.user_file import Custom

FUNCTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "CustomMethod": ("apply", ("model", "new_modules")),
    "CustomEmbedding": ("vectors", ("tokens", "dimension")),
    "CustomTask": ("work", ("task", "reader")),
    "CustomTracker": ("track", ("event",)),
}
"""What each kind's function is called, and the arguments that come before the options."""
BESIDES = {"CustomMethod": {"penalty": ("model",), "after_step": ("model", "step")}}
"""Further functions that a file may have, and their first arguments."""
TAKEN = "recipe.py"
"""What the run folder calls the recipe's own copy."""


def text_of(custom: Custom, folder: Path) -> str:
    """The file's text, after a check that its function fits; `folder` is the recipe's.

    Raises RecipeError with all problems; those with no `where` belong to the noun.
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


def called_besides(custom: Custom) -> frozenset[str]:
    """Which of the further functions for its kind this file defines."""
    return _defined(custom.source or "") & BESIDES.get(type(custom).__name__, {}).keys()


@functools.cache
def _defined(source: str) -> frozenset[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # reported when it is run
        return frozenset()
    return frozenset(_functions(tree))


def _functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def _problems(custom: Custom, path: Path, tree: ast.Module) -> Iterator[Problem]:
    """How the functions differ from what the family calls."""
    kind, defined = type(custom).__name__, _functions(tree)
    name, first = FUNCTIONS[kind]
    if name in defined:
        yield from _misfits(custom, path, defined[name], first)
    else:
        near = did_you_mean(name, defined)
        what = f"{custom.file} has no function {name}" + (f" ({near})" if near.startswith("did") else "")
        yield Problem(what, str(path), f"write def {_call(custom, name, first)}: for {kind}")
    for name, first in BESIDES.get(kind, {}).items():
        if name in defined:
            yield from _misfits(custom, path, defined[name], first)
        elif name in (bound := _bound(tree)):  # it would never be called
            what = f"{name} in {custom.file} is not written as a function"
            do = f"write def {_call(custom, name, first)}:, or give it another name"
            yield Problem(what, f"{path}:{bound[name]}", do)


def _bound(tree: ast.Module) -> dict[str, int]:
    """The names that the file gives to anything at its top, and the lines."""
    bound: dict[str, int] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound[node.name] = node.lineno
            continue
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                bound[inner.id] = inner.lineno
            elif isinstance(inner, ast.alias):
                bound[inner.asname or inner.name] = node.lineno
            elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                bound[inner.name] = inner.lineno
    return bound


def _call(custom: Custom, name: str, first: tuple[str, ...]) -> str:
    return f"{name}({', '.join([*first, *(f'{option}=…' for option in custom.options)])})"


def _misfits(custom: Custom, path: Path, function: ast.FunctionDef, first: tuple[str, ...]) -> Iterator[Problem]:
    """Why it cannot be called with the arguments `first` and the options."""
    name, parameters, where = function.name, function.args, f"{path}:{function.lineno}"
    call = _call(custom, name, first)
    positional = [argument.arg for argument in [*parameters.posonlyargs, *parameters.args]]
    if len(positional) < len(first) and parameters.vararg is None:
        got = ", ".join(positional) or "nothing"
        yield Problem(f"{name} in {custom.file} takes {got}, and is called as {call}", where, f"write def {call}:")
        return
    by_keyword = [argument.arg for argument in parameters.args if argument.arg not in positional[: len(first)]]
    by_keyword += [argument.arg for argument in parameters.kwonlyargs]
    required = positional[len(first) : len(positional) - len(parameters.defaults)]
    required += [a.arg for a, value in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True) if value is None]
    for option in custom.options:
        if option not in by_keyword and (parameters.kwarg is None or option in positional):
            what = f"{name} in {custom.file} takes no option {option!r}"
            yield Problem(what, where, did_you_mean(option, by_keyword) or _without(custom, name))
    for option in required:
        if option not in custom.options:
            do = f"write options={{{option!r}: …}}, or give it a default"
            yield Problem(f"{name} in {custom.file} needs the option {option!r}", where, do)


def _without(custom: Custom, name: str) -> str:
    """What to do about an option that a function does not take: every function of a file gets all options."""
    return "leave it out" if name == FUNCTIONS[type(custom).__name__][0] else "add **options: it is given them all"
