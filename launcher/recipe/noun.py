"""What makes a class a noun: a strict frozen pydantic dataclass that reports all its errors at once.

A noun remembers which of its fields were given (the rest are defaults), so that `launcher show` can say
where each value came from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from launcher.errors import Problem, RecipeError, short
from launcher.recipe import reference
from launcher.recipe.usual_names import meant, suggestion

N = TypeVar("N")
NOUNS: list[Any] = []
"""Every noun class, in the order in which they are declared."""
LARGEST = 30
"""Digits of a number that a message shows."""
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
def noun(cls: type[N]) -> type[N]:
    """Make `cls` a noun. Raises RecipeError (all problems together) when one is built from wrong values."""
    made: Any = dataclass(reference.describe(cls), kw_only=True, frozen=True, config=STRICT)
    _report_as_recipe_error(made)
    made.__signature__ = reference.signature(made)
    reference.READY.add(made)
    NOUNS.append(made)
    noun_of_it: type[N] = made
    return noun_of_it


def _report_as_recipe_error(made: Any) -> None:
    build: Callable[..., None] = made.__init__

    def __init__(self: Any, *positional: Any, **given: Any) -> None:
        if positional:
            _refuse([Problem(f"{made.__name__}: write each value with its name", do=_signature(made))])
            return
        try:
            build(self, **given)
        except ValidationError as error:
            _refuse(problems_of(error, made))
            return
        object.__setattr__(self, "_given", frozenset(given))

    made.__init__ = __init__


_collected: list[Problem] | None = None
"""A global because the recipe's own code builds the nouns: there is no argument to pass it by."""


@contextlib.contextmanager
def collecting() -> Iterator[list[Problem]]:
    """While a recipe's file is imported, a wrong noun does not end the import: its problems and line are collected.

    A placeholder stands for it, so that the other nouns are checked too, and the recipe is refused afterwards.
    """
    global _collected
    before = _collected
    problems: list[Problem] = []
    _collected = problems
    try:
        yield problems
    finally:
        _collected = before


def _refuse(problems: list[Problem]) -> None:
    """Raise RecipeError, or collect the problems with the line on which the noun is written."""
    if _collected is None:
        raise RecipeError(problems) from None
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename in (__file__, dataclasses.__file__):
        frame = frame.f_back
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
    _collected.extend(dataclasses.replace(problem, where=where) for problem in problems)


def given_fields(value: Any) -> frozenset[str]:
    """Names of the fields that were written out when this noun was built."""
    given: frozenset[str] = getattr(value, "_given", frozenset())
    return given - {"kind"}


def field_names(cls: Any) -> list[str]:
    """The fields of a noun class that a user may write, in order."""
    return [field.name for field in dataclasses.fields(cls) if field.name != "kind"]


def several(value: Any) -> bool:
    """Whether a field's value is a tuple of nouns."""
    return isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value))


def problems_of(error: ValidationError, cls: Any) -> list[Problem]:
    """pydantic's findings as our problems: one each, with the field's path and what would be right."""
    problems = []
    for finding in error.errors(include_url=False):
        location = [str(part) for part in finding["loc"]]
        path = ".".join(
            [cls.__name__, *(part for part in location if not part.startswith(("function-", "constrained-")))]
        )
        if finding["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            problems.append(Problem(f"{path}: there is no such field", do=_field_meant(location[-1], cls)))
        elif finding["type"].startswith("missing"):
            problems.append(Problem(f"{path}: this field is required", do=_signature(cls)))
        else:
            problems.append(_wrong_value(path, finding["type"], finding.get("input"), finding))
    return problems


def _field_meant(name: str, cls: Any) -> str:
    """A hint at the field of this noun, or of another one, that was probably meant."""
    hint = suggestion(name, field_names(cls))
    if meant(name, field_names(cls)):
        return hint
    others = [other for other in NOUNS if other is not cls and "kind" in other.__dataclass_fields__]
    others.sort(key=lambda other: other.__name__ != "Training")
    owners = {other.__name__: meant(name, field_names(other)) for other in others}
    named = [f"{fields[0]} of {other}" for other, fields in owners.items() if fields]
    return f"perhaps {' or '.join(named[:3])}; {hint}" if named else hint


def _wrong_value(path: str, kind: str, got: Any, finding: Any) -> Problem:
    if isinstance(got, type):
        path = path.removesuffix(f".{got.__name__}")
        return Problem(f"{path}: this is a class and no value", do=f"write {got.__name__}(…)")
    if kind == "union_tag_invalid":
        context = finding["ctx"]
        return Problem(f"{path}: {context['tag']} does not belong here", do=f"known: {context['expected_tags']}")
    shown = f" (got {short(repr(got))})" if isinstance(got, str | float | bool | type(None)) else ""
    if isinstance(got, int) and not shown:
        shown = f" (got {got})" if abs(got) < 10**LARGEST else f" (got a number of more than {LARGEST} digits)"
    if kind == "model_attributes_type":
        return Problem(f"{path}: this is not an object of a recipe{shown}", do="write one, e.g. Full() or Training()")
    if kind == "tuple_type" and dataclasses.is_dataclass(got):
        return Problem(f"{path}: input should be a tuple, even of one", do=f"write ({type(got).__name__}(…),)")
    message = finding["msg"].removeprefix("Value error, ")
    return Problem(f"{path}: {message[0].lower()}{message[1:]}{shown}")


def _signature(cls: Any) -> str:
    return f"{cls.__name__}({', '.join(f'{name}=…' for name in field_names(cls))})"
