"""The wheel: one package, with everything a user reads and copies inside, working without the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tree import ROOT, python_files

SHIPPED = ("recipes", "accelerate_configs", "slurm")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built as a user's pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's files and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    done = subprocess.run([*command, "--target", str(folder), str(wheel)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def run(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python with the installed files before everything else."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=cwd, env=environment)


def test_the_wheel_holds_one_package_and_its_metadata(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"launcher"}
    assert len(tops) == 2
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]
    assert "launcher/py.typed" in names
    assert {f"launcher/serving/page/{name}" for name in ("index.html", "page.js", "page.css")} <= set(names)


def test_the_wheel_holds_every_module(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in python_files("launcher")}
    assert len(modules) > 40
    assert modules <= names
    assert {name for name in names if name.endswith(".py") and not name.startswith("launcher/files/")} == modules


@pytest.mark.parametrize("folder", SHIPPED)
def test_the_wheel_holds_what_a_user_reads_and_copies(wheel: Path, folder: str) -> None:
    held = zipfile.ZipFile(wheel)
    there = [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert there
    for path in there:
        assert held.read(f"launcher/files/{path.relative_to(ROOT)}") == path.read_bytes()


def test_recipes_are_found_without_the_source_tree(installed: Path, tmp_path: Path) -> None:
    where = run(installed, tmp_path, "-c", "import launcher; print(launcher.__file__)").stdout.strip()
    assert Path(where) == installed / "launcher" / "__init__.py"
    done = run(installed, tmp_path, "-m", "launcher", "recipes", "copy", "reviews_zh")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reviews_zh.py").read_bytes() == (ROOT / "recipes/reviews_zh.py").read_bytes()
    shown = run(installed, tmp_path, "-m", "launcher", "show", "reviews_zh.py")
    assert shown.stdout.startswith("reviews_zh.py: TextClassification x LabelledFiles x FastText(BiLSTM) x Full")
    found = "from launcher.shipped_files import shipped; print(*(shipped(f) for f in ('accelerate_configs', 'slurm')))"
    told = run(installed, tmp_path, "-c", found).stdout.split()
    assert told == [str(installed / "launcher/files" / folder) for folder in ("accelerate_configs", "slurm")]


def test_the_command_is_the_entry(wheel: Path) -> None:
    held = zipfile.ZipFile(wheel)
    (name,) = [name for name in held.namelist() if name.endswith("/entry_points.txt")]
    assert held.read(name).decode().split() == ["[console_scripts]", "launcher", "=", "launcher.api:main"]
