"""After a run: the peak that was predicted beside the one that was measured."""

from __future__ import annotations

import os
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from launcher.plan.memory import Setting, predict
from launcher.plan.model_facts import facts_from
from launcher.plan.plan import Plan
from launcher.recipe.recipe import Recipe
from launcher.training.distributed.world import World

HOW = {
    "cuda": "the CUDA allocator's largest total of the whole run",
    "cpu": "growth of resident memory since before the model was built: with libraries' work space, the allocator's "
    "slack, evaluation, and on rank 0 the two models that the proof of the save holds",
}


def peak_memory(world: World) -> int:
    """Bytes: CUDA's largest total, or the process's largest resident memory."""
    if world.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(world.device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def side_by_side(
    recipe: Recipe, plan: Plan, prepared: dict[str, Any], evaluated_rows: int, peaks: list[int], before: list[int]
) -> dict[str, Any]:
    """The outcome's `memory`, bytes: `predicted` by parts and `measured` of each rank, and what was measured.

    The run has succeeded: what goes wrong here is reported and breaks nothing.
    """
    grown = [peak - (start if plan.device == "cpu" else 0) for peak, start in zip(peaks, before, strict=True)]
    comparison: dict[str, Any] = {"predicted": None, "measured": grown, "how": HOW[plan.device]}
    try:
        from launcher.training.memory.facts import model_facts

        if plan.recompute:
            recipe = replace(recipe, training=replace(recipe.training, recompute=True))
        known = model_facts(recipe, prepared)
        if "unknown" in known:
            return {**comparison, "not_predicted": known["unknown"]}
        facts = facts_from(known)
        rows = plan.micro_batch_size * recipe.training.passes
        times = plan.accumulation * recipe.training.turns
        optimizer = recipe.training.optimizer
        setting = Setting(
            plan.strategy,
            plan.world_size,
            rows,
            times,
            facts.longest,
            optimizer,
            evaluated_rows,
            shared_memory=plan.device == "cpu" and plan.nodes == 1,
        )
        comparison["predicted"] = predict(facts, setting).document()
    except Exception as error:
        comparison["not_predicted"] = f"{type(error).__name__}: {error}"
    return comparison
