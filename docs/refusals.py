"""Every combination of strategy, device, method, task and source, judged: which are refused, and why.

    python docs/refusals.py        writes docs/refusals.md, and docs/shelf.md (docs/shelf.py)

The machine is one that fits: DeepSpeed installed, a GPU or a core for each of two processes (one for `single`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, get_args

from launcher import (
    Columns,
    Conversations,
    Dialogue,
    EmbeddingMatrix,
    FromConfig,
    Mixture,
    Pairs,
    Pretrained,
    Prompted,
    QuestionAnswering,
    Questions,
    RandomVectors,
    Recipe,
    Reranker,
    Table,
    TextEmbedding,
    TokenClassification,
    Training,
    WordVectors,
)
from launcher.host.facts import Facts
from launcher.plan.placement import STRATEGIES, Placement
from launcher.plan.rules import judge
from launcher.recipe.method import Freeze, NewTokens, Peft
from launcher.recipe.recipe import resolve
from launcher.recipe.source import Embedding
from launcher.recipe.task import Task
from launcher.recipe.user_file import Custom

DEVICES = {
    "cpu": Facts(cores=2, memory_bytes=1 << 35),
    "cuda": Facts(cores=8, memory_bytes=1 << 36, gpus=("a", "b"), gpu_memory_bytes=(1 << 36, 1 << 36)),
}
RESNET = {"config": {"model_type": "resnet"}}
NAMED: dict[Any, dict[str, Any]] = {
    Pretrained: {"model": "a/model"},
    FromConfig: RESNET,
    Prompted: {"template": "{text} {mask}", "words": {"a": "one", "b": "two"}},
    EmbeddingMatrix: {"model": "a/model"},
    Mixture: {"sources": (RandomVectors(), EmbeddingMatrix(model="a/model"))},
    WordVectors: {"file": "a.vec"},
    Freeze: {"pattern": "a"},
}
DATA = {
    TokenClassification: Columns(train="a.txt"),
    QuestionAnswering: Questions(train="a.json"),
    Dialogue: Conversations(train="a.json"),
    TextEmbedding: Pairs(train="a.jsonl"),
    Reranker: Pairs(train="a.jsonl", negatives="negatives"),
}
ADDED: dict[str, Any] = {"new_tokens": ("[E1]",)}
FILE = Path(__file__).with_suffix(".md")


@dataclass(frozen=True)
class Combination:
    """One of them, by name, and what the rules say of it: empty when it can run."""

    strategy: str
    device: str
    method: str
    task: str
    source: str
    reasons: tuple[str, ...]


def members(union: Any) -> tuple[Any, ...]:
    """The classes of a closed union."""
    return get_args(get_args(union)[0])


def closed(union: Any) -> list[Any]:
    """Its members but the open one: what a file of the user's own can do is for that file to say."""
    return [member for member in members(union) if not issubclass(member, Custom)]


@cache
def combinations() -> tuple[Combination, ...]:
    """Every one, judged: once a process, for they are more than a thousand."""
    judged = []
    for method, task, source in product(*(closed(union) for union in (Peft, Task, Embedding))):
        recipe = Recipe(
            task=task(**NAMED.get(task, {})),
            data=DATA.get(task, Table(train="a.csv")),
            embedding=source(**NAMED.get(source, {}), **(ADDED if (method, source) == (NewTokens, Pretrained) else {})),
            peft=method(**NAMED.get(method, {})),
            training=Training(),
        )
        loaded = resolve(recipe, Path("recipe.py"), "", {})
        for strategy, (device, facts) in product(STRATEGIES, DEVICES.items()):
            placement = Placement(processes=1 if strategy == "single" else 2, strategy=strategy, device=device)
            reasons = tuple(f"{problem.what}: {problem.do}" for problem in judge(loaded, facts, placement))
            judged.append(Combination(strategy, device, method.__name__, task.__name__, source.__name__, reasons))
    return tuple(judged)


def page() -> str:
    """The documentation page."""
    judged = combinations()
    refused = [one for one in judged if one.reasons]
    lines = [
        "# What is refused",
        "",
        "Written by `python docs/refusals.py` from `launcher/plan/rules.py`; a test holds the two together.",
        "",
        f"{len(refused)} of {len(judged)} combinations of strategy, device, method, task and source are refused, on a",
        "machine that has what the strategy needs (docs/refusals.py says which). What a file of your own does is for",
        "that file to say: `CustomMethod`, `CustomTask` and `CustomEmbedding` are not among them.",
        "",
        "Each line is one reason, and every combination of its columns is refused for it.",
        "",
        "| strategies | devices | methods | tasks | sources | combinations | why, and what to do |",
        "|---|---|---|---|---|---|---|",
    ]
    for reason in dict.fromkeys(reason for one in refused for reason in one.reasons):
        those = [one for one in refused if reason in one.reasons]
        columns = [
            list(dict.fromkeys(found))
            for found in (
                (one.strategy for one in those),
                (one.device for one in those),
                (one.method for one in those),
                (one.task for one in those),
                (one.source for one in those),
            )
        ]
        assert len(those) == prod(len(column) for column in columns), f"no product of its columns: {reason}"
        row = [*(", ".join(column) for column in columns), str(len(those)), reason]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
    sys.modules["refusals"] = sys.modules[__name__]  # judged once for both pages
    import shelf

    shelf.FILE.write_text(shelf.page(), encoding="utf-8")
