"""What `help(Table)` and `launcher help Table` say of a noun: what it is, and of each field kind, default and meaning.

All of it stands in the nouns' own source: their types, bounds and defaults, and the strings below their fields.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import JsonValue
from pydantic.fields import FieldInfo

WIDTH = 88
LARGE = 2**32
"""A bound above this one only keeps out nonsense, and is not shown."""
READY: set[type] = set()
"""The finished nouns. Until a noun is in here its documentation is its own docstring, which pydantic reads."""
_own_doc: Any = vars(type)["__doc__"]


class Described(type):
    """The class of nouns: its documentation is the reference, and pydantic's own parts are left out of `help`."""

    def __dir__(cls) -> list[str]:
        """The fields stand in the text."""
        return []


def _documentation(cls: type) -> Any:
    return reference(cls) if cls in READY else _own_doc.__get__(cls)


# mypy takes __doc__ for a plain string; the reference is built when it is read
Described.__doc__ = property(_documentation, lambda cls, text: _own_doc.__set__(cls, text))  # type: ignore[assignment]


def describe(cls: type) -> type:
    """The same class, described."""
    if isinstance(cls, Described):
        return cls
    parts = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    return Described(cls.__name__, cls.__bases__, {**parts, "__qualname__": cls.__qualname__})


@cache
def reference(cls: Any) -> str:
    """The whole text."""
    fields = [_field(cls, name, info) for name, info in _infos(cls)]
    places = _locations() if "train" in cls.__pydantic_fields__ else ""
    return "\n\n".join([summary(cls), *fields, *([places] if places else [])])


def summary(cls: Any) -> str:
    """What the noun is."""
    return inspect.cleandoc(_own_doc.__get__(cls) or "")


def signature(cls: Any) -> inspect.Signature:
    """The call with its fields and defaults, for `help` and editors."""
    kind, none = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty
    return inspect.Signature(
        [
            inspect.Parameter(name, kind, default=none if info.is_required() else _Written(_default(info)))
            for name, info in _infos(cls)
        ]
    )


@cache
def meanings(cls: Any) -> dict[str, str]:
    """The string that stands below each field, in the noun or one that it shares fields with."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        texts |= _strings_below(base.__module__).get(base.__name__, {})
    return texts


class _Written:
    """A default as it would be written."""

    def __init__(self, text: str):
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _infos(cls: Any) -> list[tuple[str, FieldInfo]]:
    """What must be given first, then the noun's own fields, then those that it shares with others."""
    infos = [(name, info) for name, info in cls.__pydantic_fields__.items() if name not in ("kind", "source")]
    return sorted(infos, key=lambda each: (not each[1].is_required(), each[0] not in vars(cls)["__annotations__"]))


def _field(cls: Any, name: str, info: FieldInfo) -> str:
    head = f"{name}: {kind_of(info.annotation, info.metadata)}"
    head += ", required" if info.is_required() else f" (default {_default(info)})"
    lines = [textwrap.fill(head, WIDTH, initial_indent="  ", subsequent_indent="    ")]
    meaning = " ".join(meanings(cls).get(name, "").split())
    return "\n".join([*lines, textwrap.fill(meaning, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)])


def _default(info: FieldInfo) -> str:
    made = info.get_default(call_default_factory=True)
    return repr(made) if not hasattr(made, "kind") else f"{type(made).__name__}()"


def kind_of(annotation: Any, metadata: Any = ()) -> str:
    """A type and its bounds in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is JsonValue:
        return "a JSON value"
    if origin is Annotated:
        marks = [mark for one in parts[1:] for mark in getattr(one, "metadata", [one])]
        return kind_of(parts[0], marks)
    if origin in (Union, UnionType):
        return " or ".join(kind_of(part) for part in parts)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin is tuple:
        return f"tuple of {kind_of(parts[0])}"
    if origin is dict:
        return f"dict of {kind_of(parts[0])} to {kind_of(parts[1])}"
    name = "None" if annotation is NoneType else getattr(annotation, "__name__", str(annotation))
    return name + _bounds(metadata)


def _bounds(metadata: Any) -> str:
    """`, at least 1`, `, above 0 and below 1`."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = [
        f"{words[name]} {value}"
        for mark in metadata
        for name in words
        if (value := getattr(mark, name, None)) is not None and value < LARGE
    ]
    return f" {' and '.join(bounds)}" if bounds else ""


@cache
def _strings_below(module: str) -> dict[str, dict[str, str]]:
    """Of each class of a module the strings below its fields; nothing where its source is not there."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return {}
    strings: dict[str, dict[str, str]] = {}
    for made in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        below = strings.setdefault(made.name, {})
        for field, text in zip(made.body, made.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                below[ast.unparse(field.target)] = str(text.value.value)
    return strings


def _locations() -> str:
    """How the location of a file is written, from the docstring of `data`."""
    description = inspect.cleandoc(sys.modules["launcher.recipe.data"].__doc__ or "")
    return description.partition("\n\n")[2]
