"""Every shipped recipe: loads, says how to run it, is short, and needs nothing but `launcher`."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT, parsed, python_files

from launcher.recipe.recipe import load

RECIPES = python_files("recipes")
NAMES = [str(path.relative_to(ROOT)) for path in RECIPES]


def complaints(path: Path, name: str) -> list[str]:
    """What a recipe does not do as all recipes do."""
    tree, found = parsed(path), []
    told = (ast.get_docstring(tree) or "").splitlines()
    if sum(line.startswith("Expect:") for line in told) != 1:
        found.append("the docstring has one line `Expect: …`, from a recorded run")
    runs = [line.removeprefix("Run:").strip() for line in told if line.startswith("Run:")]
    if len(runs) != 1 or shlex.split(runs[0])[:3] != ["launcher", "run", name]:
        found.append(f"the docstring has one line `Run: launcher run {name}`")
    if not told or not told[0].endswith(".") or len(told[0]) > 120:
        found.append("the docstring begins with one sentence on one line")
    values = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["recipe"]
    ]
    if len(values) != 1 or (values[0].end_lineno or 0) - values[0].lineno + 1 > 25:
        found.append("one statement `recipe = Recipe(…)` of at most 25 lines")
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    if imported != {"launcher"}:
        found.append(f"imports only launcher, not {sorted(map(str, imported))}")
    if "start(recipe)" not in path.read_text(encoding="utf-8").splitlines()[-1]:
        found.append("ends with start(recipe)")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_loads_and_is_as_all_recipes_are(name: str) -> None:
    loaded = load(ROOT / name)
    assert loaded.recipe.training.learning_rate is not None
    assert complaints(ROOT / name, name) == []


def test_the_list_of_recipes_is_all_of_them() -> None:
    done = subprocess.run([sys.executable, "-m", "launcher", "recipes", "--json"], capture_output=True, text=True)
    listed = json.loads(done.stdout)
    assert len(listed) == len(NAMES) >= 2
    assert sorted(listed) == sorted(path.stem for path in RECIPES)
    assert all(row["about"] for row in listed.values())


def test_a_bad_recipe_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    lines = "\n".join(f"    x{n}=1," for n in range(30))
    path.write_text(f'"""No\n\nRun: launcher run recipes/other.py\n"""\nimport numpy\nrecipe = Recipe(\n{lines}\n)\n')
    assert len(complaints(path, "recipes/bad.py")) == 6
