"""The user's own files at work: the only module that runs code which a recipe carries.

`recipe.user_file_check` has checked it before. A saved model holds the code too, and predicting with it runs that code.
"""

from __future__ import annotations

import functools
import hashlib
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from launcher.errors import LauncherError, Problem, RecipeError, ran_out_of_memory
from launcher.recipe.user_file import Custom
from launcher.recipe.user_file_check import FUNCTIONS


def call(custom: Custom, *arguments: Any, function: str = "") -> Any:
    """What the file's function makes of these arguments and the recipe's options: the kind's own, or the one named.

    Raises RecipeError, with the line, where the file breaks.
    """
    name = function or FUNCTIONS[type(custom).__name__][0]
    with at_the_border(custom, f"{name} broke"):
        target: Callable[..., Any] = getattr(_module(custom.file, str(custom.source)), name)
        return target(*arguments, **custom.options)


def wrong(custom: Custom, what: str, do: str, function: str = "") -> RecipeError:
    """The error that says what the file's function did instead of what was expected."""
    name = function or FUNCTIONS[type(custom).__name__][0]
    return RecipeError(Problem(f"{name} in {custom.file} {what}", custom.file, do))


@contextmanager
def at_the_border(custom: Custom, doing: str) -> Iterator[None]:
    """Report the user's own mistakes with their line; errors of ours pass."""
    try:
        yield
    except LauncherError:
        raise
    except Exception as error:
        if ran_out_of_memory(error):
            raise
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == custom.file]
        if isinstance(error, SyntaxError) and not lines:
            lines = [error.lineno]
        what = f"{custom.file}: {doing}: {type(error).__name__}: {error}"
        raise RecipeError(Problem(what, f"{custom.file}:{lines[-1]}" if lines else custom.file)) from error


@functools.cache
def _module(file: str, source: str) -> ModuleType:
    """The file as a module, made once from its text; tracebacks show its lines."""
    module = ModuleType("custom_" + hashlib.sha256(source.encode()).hexdigest()[:12])
    module.__file__ = file
    sys.modules[module.__name__] = module  # dataclasses of the file's own look their module up
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
    return module
