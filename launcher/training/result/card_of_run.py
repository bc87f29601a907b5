"""What the model card says once all of a run is known: its metrics, its proof, the machine, the command, the recipe."""

from __future__ import annotations

import json
import math
import platform
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from launcher.host import machine_facts
from launcher.plan.plan import Plan
from launcher.recipe.recipe import Recipe, document
from launcher.training.result.markdown import code, row
from launcher.training.sealed_model import CARD, replace_text

WHEN = {"before": "test, before training", "validation": "validation", "test": "test"}
"""The columns of the table of metrics, by their names in outcome.json."""


def complete(folder: Path, recipe: Recipe, plan: Plan, outcome: dict[str, Any]) -> None:
    """Write into the card of the model in `folder` how its run went, and into the outcome's proof its new digest."""
    text = (folder / CARD).read_text(encoding="utf-8")
    parts = [_metrics(outcome["metrics"]), _proof(outcome["proof"]), _training(recipe, plan, outcome), _recipe(recipe)]
    outcome["proof"]["files"] = replace_text(folder, CARD, "\n".join([text, *parts]))


def _metrics(metrics: Mapping[str, Any]) -> str:
    numbers = {when: _numbers(metrics.get(when) or {}) for when in WHEN}
    names = list(dict.fromkeys(name for column in numbers.values() for name in column))
    lines = ["## Metrics", "", row("", *WHEN.values()), "|---|---|---|---|"]
    lines += [row(name, *(numbers[when].get(name, "") for when in WHEN)) for name in names]
    return "\n".join([*lines, ""])


def _numbers(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The numbers among them, of the classes' own ones those in its dictionaries left out."""
    floats = {name: value for name, value in metrics.items() if isinstance(value, float)}
    return {name: f"{value:.4f}" if math.isfinite(value) else "none" for name, value in floats.items()}


def _proof(proof: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            "## Proof",
            "",
            f"The folder was read back from disk before the run ended: {proof['trained_tensors']} trained tensors are "
            f"as they were trained, bit by bit; on {proof['rows']} rows of the validation split the largest difference "
            f"of an output is {proof['largest_logit_difference']:.1e} (at most {proof['tolerance']:.0e}). `seal.json` "
            "has the digests of all files.",
            "",
        ]
    )


def _training(recipe: Recipe, plan: Plan, outcome: Mapping[str, Any]) -> str:
    processes = "1 process" if plan.world_size == 1 else f"{plan.world_size} processes"
    where = f"{processes} on {_devices(plan)}" + (f", {plan.nodes} machines" if plan.nodes > 1 else "")
    counts = outcome["parameters"]
    versions = {"python": platform.python_version(), **plan.versions}
    lines = [
        *["## How it was trained", "", "| | |", "|---|---|"],
        row("command", code(command(plan))),
        row("processes", f"{where}, {plan.strategy}, {plan.precision}"),
        row("batch", plan.derivation()),
        row("steps", f"{outcome['steps']:,}, the best at step {outcome['selected_step'] or outcome['steps']:,}"),
        row("weights", f"{counts['trainable']:,} of {counts['total']:,} trained"),
        row("data", f"SHA-256 of its content {plan.data}"),
    ]
    lines += [row("base", f"{code(name)}: {_content(content)}") for name, content in plan.base.items()]
    lines.append(row("versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return "\n".join([*lines, ""])


def command(plan: Plan) -> str:
    """What starts the same run from the folder of its recipe."""
    recipe, processes = Path(plan.recipe).name or "recipe.py", str(plan.processes_per_node)
    words = ["launcher", "run", recipe, "--processes", processes]
    if plan.nodes > 1:  # `run --machines` is a line for each of them
        words = ["launcher", "submit", recipe, "--nodes", str(plan.nodes), "--processes-per-node", processes]
    words += ["--strategy", plan.strategy, "--device", plan.device]
    for key, value in plan.overrides.items():
        words += ["--set", f"{key}={value}"]
    return shlex.join(words)


def _devices(plan: Plan) -> str:
    if plan.device != "cpu":
        return torch.cuda.get_device_name()
    return f"a CPU ({platform.machine()}, {machine_facts.facts().cores} cores)"


def _content(content: Mapping[str, Any]) -> str:
    if "revision" in content:
        return f"revision {content['revision']}"
    weights = [f"{name} {about['sha256'][:16]}…" for name, about in content.get("files", {}).items()]
    return ", ".join(text for text in weights if text.startswith(("model", "pytorch", "adapter"))) or "local files"


def _recipe(recipe: Recipe) -> str:
    whole = json.dumps(document(recipe), ensure_ascii=False, indent=1)
    return "\n".join(
        [
            "## Recipe",
            "",
            "<details><summary>all its fields</summary>",
            "",
            "```json",
            whole,
            "```",
            "",
            "</details>",
            "",
        ]
    )
