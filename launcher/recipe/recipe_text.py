"""A recipe that was made by Python code, as the text of a recipe's file that yields the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

from launcher.recipe.noun import field_names, several

INDENT = "    "


def written(recipe: Any) -> str:
    """The file's text. What has its default is left out, and so are the texts of custom files, which lie beside it."""
    names = ", ".join(sorted(_kinds(recipe)))
    return (
        f'"""Written from a recipe that Python code made."""\n\nfrom launcher import {names}, start\n\n'
        f'recipe = {_call(recipe, "")}\n\nif __name__ == "__main__":\n{INDENT}start(recipe)\n'
    )


def _call(noun: Any, indent: str) -> str:
    inner = indent + INDENT
    lines = [f"{inner}{name}={_value(value, inner)},\n" for name, value in _non_defaults(noun)]
    return f"{type(noun).__name__}(" + (f"\n{''.join(lines)}{indent})" if lines else ")")


def _value(value: Any, indent: str) -> str:
    if is_dataclass(value):
        return _call(value, indent)
    if not several(value):
        return repr(value)
    inner = indent + INDENT
    lines = [f"{inner}{_call(each, inner)},\n" for each in value]
    return f"(\n{''.join(lines)}{indent})"


def _non_defaults(noun: Any) -> Iterator[tuple[str, Any]]:
    """The fields that must be written out."""
    for name in field_names(type(noun)):
        value = getattr(noun, name)
        default = type(noun).__pydantic_fields__[name].get_default(call_default_factory=True)
        if value != default and not (name == "source" and hasattr(noun, "file")):
            yield name, value


def _kinds(noun: Any) -> set[str]:
    below = [getattr(noun, name) for name in field_names(type(noun))]
    below += [each for value in below if several(value) for each in value]
    return {type(noun).__name__}.union(*(_kinds(value) for value in below if is_dataclass(value)))
