"""`--set KEY=VALUE`, as typed."""

from __future__ import annotations

from launcher.errors import Problem, RecipeError


def parse_sets(pairs: list[str] | None) -> dict[str, str]:
    """`["training.seed=1"]` -> `{"training.seed": "1"}`."""
    sets: dict[str, str] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise RecipeError(Problem(f"--set {pair}: this is not KEY=VALUE", do="e.g. --set training.seed=1"))
        sets[key.strip()] = value
    return sets
