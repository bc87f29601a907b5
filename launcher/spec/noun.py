"""What makes a class a noun: a strict frozen pydantic dataclass that reports all its errors at once.

A noun remembers which of its fields were given (the rest are defaults), so that `launcher show` can say
where each value came from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from launcher.errors import Problem, RecipeError, did_you_mean

N = TypeVar("N")
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
def noun(cls: type[N]) -> type[N]:
    """Make `cls` a noun. Raises RecipeError (all problems together) when one is built from wrong values."""
    made = dataclass(cls, kw_only=True, frozen=True, config=STRICT)
    _report_as_recipe_error(made)
    return made  # type: ignore[return-value]


def _report_as_recipe_error(made: Any) -> None:
    build: Callable[..., None] = made.__init__

    def __init__(self: Any, *positional: Any, **given: Any) -> None:
        if positional:
            raise RecipeError(Problem(f"{made.__name__}: write each value with its name", do=_signature(made)))
        try:
            build(self, **given)
        except ValidationError as error:
            raise RecipeError(problems_of(error, made)) from None
        object.__setattr__(self, "_given", frozenset(given))

    made.__init__ = __init__


def given_fields(value: Any) -> frozenset[str]:
    """Names of the fields that were written out when this noun was built."""
    given: frozenset[str] = getattr(value, "_given", frozenset())
    return given - {"kind"}


def field_names(cls: Any) -> list[str]:
    """The fields of a noun class that a user may write, in order."""
    return [name for name in cls.__dataclass_fields__ if name != "kind"]


def problems_of(error: ValidationError, cls: Any) -> list[Problem]:
    """pydantic's findings as our problems: one each, with the field's path and what would be right."""
    problems = []
    for finding in error.errors(include_url=False):
        place = [str(part) for part in finding["loc"]]
        path = ".".join([cls.__name__, *(part for part in place if not part.startswith(("function-", "constrained-")))])
        if finding["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            problems.append(Problem(f"{path}: there is no such field", do=did_you_mean(place[-1], field_names(cls))))
        elif finding["type"].startswith("missing"):
            problems.append(Problem(f"{path}: this field is required", do=_signature(cls)))
        else:
            problems.append(_wrong_value(path, finding["type"], finding.get("input"), finding))
    return problems


def _wrong_value(path: str, kind: str, got: Any, finding: Any) -> Problem:
    if isinstance(got, type):
        return Problem(f"{path}: this is a class and no value", do=f"write {got.__name__}(…)")
    if kind == "union_tag_invalid":
        context = finding["ctx"]
        return Problem(f"{path}: {context['tag']} does not belong here", do=f"known: {context['expected_tags']}")
    shown = f" (got {got!r})" if isinstance(got, str | int | float | bool | type(None)) else ""
    if kind == "model_attributes_type":
        return Problem(f"{path}: this is none of launcher's nouns{shown}", do="write one, e.g. Full() or Training()")
    message = finding["msg"].removeprefix("Value error, ")
    return Problem(f"{path}: {message[0].lower()}{message[1:]}{shown}")


def _signature(cls: Any) -> str:
    return f"{cls.__name__}({', '.join(f'{name}=…' for name in field_names(cls))})"
