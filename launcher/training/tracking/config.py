"""What a tracker is told of a run besides its numbers: its recipe, how it is spread, versions; nothing secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launcher import secret
from launcher.recipe.recipe import settled
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

OF_THE_PLAN = (
    *("strategy", "device", "precision", "world_size", "nodes", "batch_size", "micro_batch_size", "accumulation"),
    *("steps", "digest", "data"),
)


def config_of(folder: RunFolder) -> dict[str, Any]:
    """`{"recipe": {dotted name: value}, "plan": {…}, "versions": {package: version}}`; no texts of a user's files."""
    plan, values = read_json(folder.plan) or {}, settled(read_json(folder.recipe) or {})
    recipe = {name: value for name, value in values.items() if not name.endswith(".source")}
    told = {name: plan[name] for name in OF_THE_PLAN if name in plan}
    whole = _without_secrets({"recipe": recipe, "plan": told, "versions": plan.get("versions", {})})
    return dict(whole)


def project_of(folder: RunFolder) -> str:
    """The project that the run belongs to where nothing else says one: its recipe's name."""
    return Path((read_json(folder.plan) or {}).get("recipe") or "").stem or "recipe-launcher"


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(below) for name, below in value.items()}
    if isinstance(value, list):
        return [_without_secrets(below) for below in value]
    return secret.without(value) if isinstance(value, str) else value
