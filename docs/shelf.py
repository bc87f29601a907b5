"""Every method by task and by strategy: tested, and where; or refused, and why.

    python docs/refusals.py        writes docs/shelf.md too

What is refused the rules say; what is tested is read from the tests themselves, without running or importing them.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from refusals import Combination, closed, combinations

from launcher.plan.placement import STRATEGIES
from launcher.recipe.method import Peft
from launcher.recipe.task import Task

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests/training"
FILE = Path(__file__).with_suffix(".md")
TESTED, APART, GPUS = "●", "○", "GPU"


def assigned(path: Path) -> dict[str, ast.expr]:
    """What a module assigns to its own names."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name] = value
    return found


def matrix_tasks() -> set[str]:
    """The tasks that `matrix.py` trains: it imports the noun of each."""
    tree = ast.parse((TESTS / "matrix.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in imports if node.module == "launcher.recipe.task" for alias in node.names}


def matrix_methods() -> set[str]:
    """The methods that meet each of these tasks."""
    methods = assigned(TESTS / "methods/test_shelf_tasks.py")["METHODS"]
    assert isinstance(methods, ast.Dict)
    return {noun_of(key.value) for key in methods.keys if isinstance(key, ast.Constant)}


def runs() -> set[tuple[str, str]]:
    """Method and strategy where all that the rules allow are compared with one process, step by step."""
    values = assigned(TESTS / "methods/test_shelf_strategies.py")
    strategies = ast.literal_eval(values["STRATEGIES"])
    return {(method, strategy) for method in matrix_methods() for strategy in strategies}


def noun_of(source: str) -> str:
    """`LoRA(rank=2)` is called LoRA."""
    return re.match(r"\w+", source).group()


class Reasons:
    """The sentences below a table, each with a number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def cell(self, judged: list[Combination], tested: bool, apart: bool, anywhere: bool = False) -> str:
        """The number of each reason where all are refused, else whether it is tested."""
        left = [one for one in judged if not one.reasons]
        if not left:
            every = [one.reasons for one in judged if one.device == "cuda"]
            reasons = dict.fromkeys(reason for reasons in every for reason in reasons)
            return ", ".join(str(self.numbers.setdefault(r, len(self.numbers) + 1)) for r in reasons)
        on_gpus = all(one.device == "cuda" for one in left)
        return GPUS if on_gpus and not (tested and anywhere) else TESTED if tested else APART if apart else ""


def page() -> str:
    """The documentation page."""
    judged = [one for one in combinations() if one.source == "Pretrained"]
    methods, tasks = ([one.__name__ for one in closed(union)] for union in (Peft, Task))
    trained, met, ran, reasons = matrix_tasks(), matrix_methods(), runs(), Reasons()
    lines = [
        "# Methods by task and strategy",
        "",
        "Written by `python docs/refusals.py` from the rules and from the tests; a test holds them together. On a",
        "pretrained model, under the device that the strategy is for; [what is refused](refusals.md) has the rest.",
        "",
        f"{TESTED} is a test of this very pair. By task: three steps, saved, read back, proven. By strategy: a run on",
        "two processes, equal to one process in each step, saved and proven; the runs of one process are what they are",
        f"compared with. {APART} is a pair that the rules allow, of which each half is tested with others: no strategy",
        f"knows which task or method it trains. {GPUS}: on GPUs only, where these tests do not run. A number is the",
        "reason why a pair is refused.",
        "",
        "| method | " + " | ".join(tasks) + " | | " + " | ".join(STRATEGIES) + " |",
        "|---|" + "---|" * (len(tasks) + 1 + len(STRATEGIES)),
    ]
    for method in methods:
        mine = [one for one in judged if one.method == method]
        by_task = [
            reasons.cell(
                [one for one in mine if one.task == task], method in met and task in trained, method in met, True
            )
            for task in tasks
        ]
        under = {"single", *(strategy for other, strategy in ran if other == method)}
        by_strategy = [
            reasons.cell([one for one in mine if one.strategy == strategy], strategy in under, bool(under))
            for strategy in STRATEGIES
        ]
        lines.append(f"| {method} | " + " | ".join(by_task) + " | | " + " | ".join(by_strategy) + " |")
    lines += ["", *(f"{number}. {reason}" for reason, number in reasons.numbers.items())]
    return "\n".join(lines) + "\n"
