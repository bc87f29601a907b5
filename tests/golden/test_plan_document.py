"""The plan of a fixed recipe on a fixed machine, every field of it, and the line to type by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from launcher.host.facts import Facts
from launcher.plan import plan
from launcher.plan.placement import Placement
from launcher.recipe.recipe import load

RECIPE = Path(__file__).parent / "small.py"


def small_plan() -> plan.Plan:
    facts = Facts(cores=6, memory_bytes=1 << 33)
    prepared = {"folder": "/cache/prepared/0123", "rows": {"train": 250, "validation": 20, "test": 30}}
    versions = {"torch": "2.8.0", "accelerate": "1.10.0"}
    loaded = load(RECIPE, {"training.seed": "7"})
    return plan.make(loaded, facts, Placement(processes=2), prepared, versions)


def test_the_plan_document_reads_as_stored(golden: Callable[[str, str], None]) -> None:
    document = small_plan().document()
    assert document.pop("recipe") == str(RECIPE)
    golden("plan.json", json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def test_the_line_by_hand_reads_as_stored(golden: Callable[[str, str], None]) -> None:
    options = ["--set", 'data.train={"好": "it\'s good.txt"}', "--name", "$HOME; `id` & rm *"]
    golden("by-hand.txt", plan.command_by_hand(small_plan(), "my recipe.py", "configs/ddp.yaml", options) + "\n")
