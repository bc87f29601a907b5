"""What `launcher export` writes of each task, source and method, and why not: docs/exports.md, from the rules.

python docs/exports.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from refusals import DATA, DEVICES, NAMED, closed

from launcher import FastText, FromConfig, Recipe, Table, TokenClassification, Training
from launcher.plan.placement import Placement
from launcher.plan.rules import judge
from launcher.recipe.export_rules import FOLDERS, Format, refused
from launcher.recipe.method import Peft
from launcher.recipe.recipe import resolve
from launcher.recipe.source import Embedding
from launcher.recipe.task import Task

FILE = Path(__file__).with_suffix(".md")


TAG_PATHS, SUBWORDS = "TokenClassification(crf=True)", "FastText(subword_rows=True)"
"""Two that a field of theirs decides about."""
BY_METHOD = ("TextClassification", "CausalLanguageModel")
"""Of which the methods are told: one that is answered at once, and one that writes."""
MADE: dict[str, Any] = {TAG_PATHS: TokenClassification(crf=True), SUBWORDS: FastText(subword_rows=True)}


def made(name: str, known: list[Any]) -> Any:
    """One of this name."""
    if name in MADE:
        return MADE[name]
    kind = next(each for each in known if each.__name__ == name)
    return kind(**NAMED.get(kind, {}))


def recipe_of(task: str, source: str = "Pretrained", method: str = "Full") -> Recipe:
    """One of each; what they read does not matter here."""
    noun = made(task, closed(Task))
    return Recipe(
        task=noun,
        data=DATA.get(type(noun), Table(train="a.csv")),
        embedding=made(source, closed(Embedding)),
        peft=made(method, closed(Peft)),
        training=Training(),
    )


def names(union: Any, more: str = "") -> list[str]:
    """Of a union's members, and of one more behind the class that it is of."""
    found = [each.__name__ for each in closed(union)]
    if more:
        found.insert(1 + found.index(more.partition("(")[0]), more)
    return found


def trains(recipe: Recipe) -> bool:
    """Whether any machine trains it."""
    alone = Placement(processes=1, strategy="single", device="cpu")
    return not list(judge(resolve(recipe, Path("recipe.py"), "", {}), DEVICES["cpu"], alone))


def page() -> str:
    """The documentation page."""
    reasons: list[str] = []

    def cell(recipe: Recipe, kind: Format) -> str:
        told = [f"{problem.what}: {problem.do}" for problem in refused(recipe, kind)]
        reasons.extend(reason for reason in told if reason not in reasons)
        return ", ".join(str(1 + reasons.index(reason)) for reason in told) or "yes"

    tasks, sources = names(Task, TAG_PATHS), names(Embedding, SUBWORDS)
    sources.remove(FromConfig.__name__)
    lines = [
        "# What is exported",
        "",
        "Written by `python docs/exports.py` from `launcher/recipe/export_rules.py`; a test holds the two together. A",
        "number is that of a sentence below; what has a dash cannot be [trained](refusals.md) at all. FromConfig is as",
        "Pretrained is; a task of your own has `safetensors` only. Static vectors also have `fasttext` and `vec`.",
        "",
    ]
    for kind in sorted(FOLDERS):
        lines += [f"## --format {kind}", "", f"| task | {' | '.join(sources)} |", "|---|" + "---|" * len(sources)]
        for task in tasks:
            recipes = [recipe_of(task, source) for source in sources]
            row = [cell(recipe, kind) if trains(recipe) else "-" for recipe in recipes]
            lines.append(f"| {task} | {' | '.join(row)} |")
        lines.append("")
        for task in BY_METHOD:
            methods = [f"{name}: {cell(recipe_of(task, method=name), kind)}" for name in names(Peft)]
            lines += [f"By method, of a {task}: {', '.join(methods)}.", ""]
    lines += ["## Why not", "", *(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
