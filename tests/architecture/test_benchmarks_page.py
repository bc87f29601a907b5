"""The benchmarks' page: short, and its table is what the records say."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


def test_the_table_is_what_the_records_say():
    told = subprocess.run(
        [sys.executable, str(BENCHMARKS / "table.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr


def test_a_table_that_differs_is_noticed(tmp_path):
    for path in ("table.py", "README.md"):
        (tmp_path / path).write_bytes((BENCHMARKS / path).read_bytes())
    (tmp_path / "results").mkdir()  # no record: the table of the page has rows that nobody recorded
    told = subprocess.run(
        [sys.executable, str(tmp_path / "table.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stderr) == (1, "run: python benchmarks/table.py\n")


def test_the_page_is_short_and_every_record_names_its_story():
    lines = (BENCHMARKS / "README.md").read_text(encoding="utf-8").splitlines()
    assert (
        len(lines) - (lines.index("<!-- end -->") - lines.index("<!-- made by table.py -->")) <= 66
    )  # its table grows by a row a figure
    records = sorted((BENCHMARKS / "results").glob("*.json"))
    assert len(records) >= 9
    for path in records:
        record = json.loads(path.read_text(encoding="utf-8"))
        assert (BENCHMARKS / record["note"]).is_file(), path
        assert set(record) == {"command", "date", "machine", "commit", "note", "figures"}, path
        assert record["figures"], path


def test_what_the_scripts_take_from_the_launcher_is_there():
    """They are run now and then only, and no type checker reads them."""
    taken = []
    for path in (*BENCHMARKS.glob("*.py"), *(ROOT / "tests" / "faults").glob("*.py"), *(ROOT / "docs").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "launcher":
                taken += [(path.name, str(node.module), alias.name) for alias in node.names if alias.name != "*"]
    assert len(taken) > 100
    assert [one for one in taken if not _is_there(*one[1:])] == []
    assert not _is_there("launcher.launch.node", "MEMORY")


def _is_there(module, name):
    if hasattr(importlib.import_module(module), name):
        return True
    try:
        return bool(importlib.import_module(f"{module}.{name}"))
    except ModuleNotFoundError:
        return False
