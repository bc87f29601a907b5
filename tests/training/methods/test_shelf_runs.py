"""The methods beside a frozen base in whole runs: planned, saved and proven; strategies: `test_shelf_strategies`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from launcher.errors import PlanError
from launcher.recipe.recipe import load
from launcher.training.memory.facts import model_facts
from launcher.training.prepare import prepare

METHODS = {
    "IA3": "IA3()",
    "VeRA": "VeRA(rank=8)",
    "OFT": "OFT(block_size=4)",
    "prompt": "PromptTuning(tokens=3)",
    "p-tuning": "PromptTuning(tokens=3, hidden=8)",
    "prefix": "PrefixTuning(tokens=3)",
    "pissa": "LoRA(rank=4, start='pissa')",
    "parallel": "Adapter(bottleneck=4, placement='parallel', scale=4.0)",
}
STEPS = 6


@pytest.mark.parametrize("name", METHODS)
def test_memory_is_planned_for_what_trains(warm, name) -> None:
    run = warm.finished("bert", METHODS[name], max_steps=STEPS)
    recipe = load(Path(run.plan["recipe"]), run.plan["overrides"]).recipe
    facts = model_facts(recipe, prepare(recipe))
    assert run.outcome["proof"]["largest_logit_difference"] <= 1e-5 and np.ptp(run.losses) > 1e-3
    assert facts["parameters"] == run.outcome["parameters"]
    assert sum(words for _, words, trains, _ in facts["tensors"] if trains) == run.outcome["parameters"]["trainable"]


def test_a_prompt_without_room_is_told_before_anything_starts(warm) -> None:
    with pytest.raises(PlanError) as caught:
        warm.run("bert", "PromptTuning(tokens=510)", max_steps=STEPS)
    (problem,) = caught.value.problems
    assert problem.what.startswith("PromptTuning takes 510 of the model's 512 positions, and the longest text has ")
    assert problem.do == "cut the texts: Pretrained(max_length=2)"
