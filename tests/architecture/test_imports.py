"""Two wings and their floors: who may import whom, and what a first glance at the command costs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tree import HEAVY, LIGHT, ROOT, light_modules

CONTRACTS = 11
MOST_MODULES = 350
"""Of `launcher --help`, the interpreter's own included; 277 on 2026-11-22 with Python 3.11, 321 with the nouns of
2026-11-29."""

PLANTED = [
    ("plan/rules.py", "import torch", "launcher.plan.rules -> torch"),
    ("runs/run_folder.py", "from launcher.launch import node", "launcher.runs.run_folder -> launcher.launch.node"),
    ("training/loop.py", "from launcher.launch import node", "launcher.training.loop -> launcher.launch.node"),
    (
        "training/optimiser.py",
        "from launcher.training import loop",
        "launcher.training.optimiser -> launcher.training.loop",
    ),
    ("launch/run_request.py", "from launcher import training", "launcher.launch.run_request -> launcher.training"),
    (
        "worker/fork_server.py",
        "from launcher.cli import display",
        "launcher.worker.fork_server -> launcher.cli.display",
    ),
    ("host/facts.py", "from launcher.runs import attempt", "launcher.host.facts -> launcher.runs.attempt"),
    ("cluster/slurm/words.py", "from launcher.plan import plan", "launcher.cluster.slurm.words -> launcher.plan.plan"),
    ("training/rank.py", "from launcher import worker", "launcher.training.rank -> launcher.worker"),
    ("training/hub.py", "from launcher import serving", "launcher.training.hub -> launcher.serving"),
    ("serving/gate.py", "import numpy", "launcher.serving.gate -> numpy"),
    ("recipe/task.py", "from launcher.recipe import method", "No cycles are allowed in launcher.recipe"),
    ("recipe/method.py", "from launcher.recipe import task", "No cycles are allowed in launcher.recipe"),
    ("stray.py", "", "launcher.stray"),
]
"""File, import, and what import-linter must then say; together they break every contract."""


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the `launcher` that lies in `folder`."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(folder), "COLUMNS": "200"}
    )


def test_every_contract_holds() -> None:
    done = lint(ROOT)
    assert f"Contracts: {CONTRACTS} kept, 0 broken." in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_a_planted_import_breaks_each_contract(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "launcher", tmp_path / "launcher", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, line, _ in PLANTED:
        with (tmp_path / "launcher" / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    told = lint(tmp_path).stdout
    assert f"Contracts: 0 kept, {CONTRACTS} broken." in told
    assert [expected for _, _, expected in PLANTED if expected not in told] == [], told


def test_the_contract_on_the_light_wing_names_all_of_it() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (light,) = [contract for contract in told if contract["name"].startswith("The light wing")]
    assert sorted(light["source_modules"]) == sorted(f"launcher.{name}" for name in LIGHT)
    heavy_wing = {"__init__", "__main__", "exported", "extend", "job", "serving", "training", "worker"}
    there = {
        path.stem for path in (ROOT / "launcher").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there == {*LIGHT, *heavy_wing}, "say of a new module which wing it belongs to"


def test_the_type_checker_takes_all_of_the_package_at_its_strictest() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert told["strict"] and told["files"] == ["launcher"]
    for exception in told["overrides"]:
        assert not [name for name in exception["module"] if name.split(".")[0] == "launcher"], "libraries only"
        assert not exception.keys() - {"module", "ignore_missing_imports", "implicit_reexport"}


def modules_loaded(*words: str) -> set[str]:
    done = subprocess.run([sys.executable, "-X", "importtime", *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip() for line in lines[1:]}


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["show", "recipes/reviews_zh.py"], ["recipes"]])
def test_the_command_loads_nothing_heavy(words: list[str]) -> None:
    loaded = modules_loaded("-m", "launcher", *words)
    assert "launcher.cli.app" in loaded
    assert not {name.split(".")[0] for name in loaded} & set(HEAVY)
    assert not [name for name in loaded if name.startswith(("launcher.worker", "launcher.training"))]
    if words == ["--help"]:
        assert 200 < len(loaded) < MOST_MODULES


def test_the_measure_would_see_what_is_heavy() -> None:
    assert "numpy" in {name.split(".")[0] for name in modules_loaded("-c", "import numpy")}


BLOCKED = """
import importlib, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {heavy}:
            raise ImportError("heavy: " + name)
sys.meta_path.insert(0, Refuse())
try:
    import numpy
except ImportError:
    print("refused")
for name in {modules}:
    importlib.import_module(name)
    print(name)
"""


def test_every_light_module_imports_where_nothing_heavy_is_installed() -> None:
    names = light_modules()
    assert len(names) > 20
    script = BLOCKED.format(heavy=set(HEAVY), modules=names)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["refused", *names], done.stderr
