"""The contents of the files of a run's folder, checked as they are read: the error for a damaged one names it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launcher import json_files
from launcher.errors import BackendError, Problem

TEXT, WHOLE, NUMBER, NOTHING, ANY = (str,), (int,), (int, float), (type(None),), (object,)
MAYBE_TEXT, MAYBE_WHOLE, MAYBE_NUMBER = (*TEXT, *NOTHING), (*WHOLE, *NOTHING), (*NUMBER, *NOTHING)
EACH = "*"
"""In a shape: the type of all other fields; without it they may hold anything."""

Shape = dict[str, Any] | list[Any] | tuple[Any, ...]
"""Types that a value may have (and shapes, of which one must fit); a list of such; fields by name, `name!` required."""

_PROBLEM = {"what!": TEXT, "where!": TEXT, "do!": TEXT}
_FIGURES: Shape = ({}, *NOTHING)
_CHECKPOINT = {"attempt!": WHOLE, "step!": WHOLE}
_FAILURE = {"time!": NUMBER, "problems!": [_PROBLEM], "kind": MAYBE_TEXT, "of": MAYBE_TEXT}

SHAPES: dict[str, Shape] = {
    "plan.json": {
        **dict.fromkeys(("recipe", "digest", "strategy", "device", "precision", "prepared", "data", "why"), TEXT),
        **dict.fromkeys(("world_size", "nodes", "threads_per_process", "batch_size", "micro_batch_size"), WHOLE),
        **dict.fromkeys(("accumulation", "steps"), WHOLE),
        "steps_per_epoch": MAYBE_WHOLE,
        **{name: {} for name in ("sharding", "versions", "base")},
        "overrides": {EACH: TEXT},
        "recompute": (bool,),
        "memory": ({EACH: NUMBER}, *NOTHING),
    },
    "recipe.json": {
        "digest": TEXT,
        "recipe": {},
        "values": {"training.select_by": {"value": MAYBE_TEXT}, "task.file": {"value": TEXT}, EACH: {"value!": ANY}},
    },
    "outcome.json": {
        "status!": TEXT,
        "steps": WHOLE,
        "attempt": WHOLE,
        "selected_step": MAYBE_WHOLE,
        "metrics": ({"before": _FIGURES, "validation": _FIGURES, "test": _FIGURES}, *NOTHING),
        "examples_per_second": MAYBE_NUMBER,
        "seconds": ({EACH: MAYBE_NUMBER}, *NOTHING),
        "peak_memory_bytes": ([WHOLE], *NOTHING),
        "problems": ([_PROBLEM], *NOTHING),
        "warnings": ([TEXT], *NOTHING),
        "proof": ({}, *NOTHING),
        "lineage": (
            [{"run!": TEXT, "path!": TEXT, "task!": TEXT, "steps": MAYBE_WHOLE, "test": MAYBE_NUMBER}],
            *NOTHING,
        ),
        "onward": ({"run!": TEXT, "test": {}}, *NOTHING),
    },
    "origin.json": {"continues!": (_CHECKPOINT, *NOTHING)},
    "lease.json": {"pid!": WHOLE, "boot": TEXT, "host": TEXT},
    "job.json": {
        "job": (*TEXT, *WHOLE, *NOTHING),
        "scheduler": TEXT,
        "options": {},
        "after": [TEXT],
        "max_requeues": MAYBE_WHOLE,
    },
    "trackers.json": {"trackers!": [{"name!": TEXT, "file": TEXT, "options": {}, "source": TEXT}]},
    "array.json": {"runs!": [TEXT]},
    "ending.json": {"ended": TEXT, "strategy": TEXT, "world_size": WHOLE, "micro_batch_size": WHOLE},
    "pulse.json": {"section!": TEXT, "stage": TEXT, "step": WHOLE, "time": NUMBER},
    "failure.json": _FAILURE,
}
"""By the last two parts of the file's name."""
DO = "put the file back from a copy; if there is none, start the run again"


def read_json(path: Path) -> Any:
    """The JSON of a file of a run, None where there is none. Raises BackendError for one that is damaged."""
    value, shape = json_files.read_json(path), SHAPES.get(".".join(path.name.split(".")[-2:]))
    if shape is not None and path.is_file() and (wrong := misfit(value, shape)):
        raise BackendError(Problem(f"{path.name} is damaged: {wrong}", str(path), DO))
    return value


def read_plan(path: Path) -> dict[str, Any]:
    """The contents of plan.json, with the fields that every run has."""
    return read_with(path, ("steps", "strategy", "world_size"))


def read_with(path: Path, needed: Sequence[str]) -> dict[str, Any]:
    """The contents of the file. Raises BackendError also where it is missing, or lacks what is needed."""
    document: dict[str, Any] = read_json(path) or {}
    lacking = [name for name in needed if name not in document]
    if lacking:
        what = f"{path.name} is {f'damaged: {lacking[0]} is ' if path.is_file() else ''}missing"
        raise BackendError(Problem(what, str(path), DO))
    return document


def misfit(value: Any, shape: Shape, name: str = "") -> str:
    """How a value differs from this shape, in words; empty where it fits."""
    if isinstance(shape, tuple):
        return "" if any(_is(value, one) for one in shape) else _closest(value, shape, name)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{name or 'it'} is not a list"
        return next((wrong for each in value if (wrong := misfit(each, shape[0], name))), "")
    if not isinstance(value, dict):
        return f"{name or 'it'} is not an object with fields"
    prefix = f"{name}." if name else ""
    for field, below in shape.items():
        plain = field.removesuffix("!")
        if plain in value and (wrong := misfit(value[plain], below, prefix + plain)):
            return wrong
        if plain != field and plain not in value:
            return f"{prefix}{plain} is missing"
    others = (pair for pair in value.items() if EACH in shape and pair[0] not in shape)
    return next((wrong for field, each in others if (wrong := misfit(each, shape[EACH], prefix + field))), "")


def _closest(value: Any, shapes: tuple[Any, ...], name: str) -> str:
    """Why none of them fits: judged by the one for this kind of value, if there is one."""
    deep = next((one for one in shapes if not isinstance(one, type) and isinstance(value, type(one))), None)
    return f"{name or 'it'} has a value of the wrong kind" if deep is None else misfit(value, deep, name)


def _is(value: Any, shape: Any) -> bool:
    if isinstance(shape, type):
        return isinstance(value, shape) and not (isinstance(value, bool) and shape in (int, float))
    return not misfit(value, shape)
