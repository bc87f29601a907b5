"""Files a reader can hold in mind, functions on one screen, names that say what is inside."""

from __future__ import annotations

import ast
from pathlib import Path

from tree import ROOT, parsed, python_files

LINES_A_FILE = 300
LINES_A_FUNCTION = 50
EMPTY_NAMES = ("utils", "util", "helpers", "helper", "common", "misc")


def long_functions(tree: ast.Module) -> list[str]:
    """Functions (with decorators and docstring) of more than the allowed lines."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            length = (node.end_lineno or first) - first + 1
            if length > LINES_A_FUNCTION:
                found.append(f"{node.name}: {length} lines")
    return found


def long_files(paths: list[Path]) -> list[str]:
    return [str(path) for path in paths if len(path.read_text(encoding="utf-8").splitlines()) > LINES_A_FILE]


def test_no_file_is_too_long() -> None:
    paths = python_files("launcher")
    assert len(paths) > 40
    assert long_files(paths) == []


def test_no_function_is_too_long() -> None:
    paths = python_files("launcher")
    told = {str(path.relative_to(ROOT)): long_functions(parsed(path)) for path in paths}
    assert len(told) > 40
    assert {path: found for path, found in told.items() if found} == {}


def test_no_module_has_an_empty_name() -> None:
    paths = python_files("launcher")
    assert len(paths) > 40
    assert [path for path in paths if {*path.relative_to(ROOT).with_suffix("").parts} & set(EMPTY_NAMES)] == []


def test_the_measures_see_what_is_too_long(tmp_path: Path) -> None:
    body = "".join(f"    x = {n}\n" for n in range(LINES_A_FUNCTION))
    assert long_functions(ast.parse(f"def f():\n{body}")) == ["f: 51 lines"]
    assert long_functions(ast.parse(f"class A:\n  @property\n  def f(self):\n{body.replace('    ', '      ')}"))
    assert long_functions(ast.parse(f"def f():\n{body.split(chr(10), 1)[1]}")) == []
    path = tmp_path / "long.py"
    path.write_text("x = 1\n" * (LINES_A_FILE + 1))
    assert long_files([path]) == [str(path)]


def test_the_tests_hold_to_it_too() -> None:
    paths = python_files("tests/unit", "tests/golden", "tests/architecture")
    assert len(paths) > 10
    assert long_files(paths) == []
