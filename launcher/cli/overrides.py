"""`--set KEY=VALUE` and `--each KEY=VALUES`, as typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.errors import Problem, RecipeError, short


def parse_sets(pairs: list[str] | None) -> dict[str, str]:
    """`["training.seed=1"]` -> `{"training.seed": "1"}`."""
    sets: dict[str, str] = {}
    problems = []
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            problems.append(Problem(f"--set {short(pair)}: this is not KEY=VALUE", do="e.g. --set training.seed=1"))
        elif key in sets:
            what = f"{key} is given twice: {short(sets[key])} and {short(value)}"
            problems.append(Problem(what, "--set", "give it once; several runs at once are `launcher submit --each`"))
        else:
            sets[key] = value
    if problems:
        raise RecipeError(problems)
    return sets


def going_on(sets: Mapping[str, str], run: str | Path | None, with_optimiser: bool, runs: str | Path) -> dict[str, str]:
    """The overrides with what `--from` and `--with-optimiser` set; a run that is not below `runs/` by its path."""
    said = {} if run is None else {"training.from_run": _named(run, Path(runs))}
    said |= {"training.with_optimiser": "true"} if with_optimiser else {}
    twice = [key for key in said if sets.get(key, said[key]) != said[key]]
    if twice:
        option = "--from" if twice[0] == "training.from_run" else "--with-optimiser"
        what = f"{twice[0]} is given twice: {short(sets[twice[0]])} and {short(said[twice[0]])}"
        raise RecipeError(Problem(what, f"--set and {option}", "give one of them"))
    return {**sets, **said}


def _named(run: str | Path, runs: Path) -> str:
    here = runs / run
    return str(run) if runs == Path("runs") or not here.exists() else str(here.resolve())


def texts_of(values: Mapping[str, Any]) -> dict[str, str]:
    """`{"training.seed": 1}` -> `{"training.seed": "1"}`, as it would be typed."""
    try:
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    except (TypeError, ValueError, RecursionError) as error:
        do = "give numbers, strings, lists of them, True, False or None"
        raise RecipeError(Problem(f"set holds what no override can say: {error}", do=do)) from None


def parse_each(pairs: list[str] | None, sets: Mapping[str, str]) -> dict[str, list[str]]:
    """`["training.seed=1,2"]` -> `{"training.seed": ["1", "2"]}`; values with commas in them come as a JSON list."""
    each: dict[str, list[str]] = {}
    problems = []
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        key = key.strip()
        values = _values(text)
        if not equals or not key or not all(value.strip() for value in values):
            what = "this is not KEY=VALUE,VALUE,…"
            problems.append(Problem(f"--each {short(pair)}: {what}", do="e.g. --each training.seed=1,2,3"))
        elif key in each or key in sets:
            twice = "--each" if key in each else "--set and --each"
            problems.append(Problem(f"{key} is given twice", twice, "give all its values to one --each"))
        elif len(set(values)) < len(values):
            problems.append(Problem(f"--each {short(pair)}: a value is given twice", do="give each value once"))
        else:
            each[key] = values
    if problems:
        raise RecipeError(problems)
    return each


def _values(text: str) -> list[str]:
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        listed = None
    if isinstance(listed, list):
        return [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in listed] or [""]
    return text.split(",")
