"""Calls that turn data into code or a user's text into a shell line: nowhere in what we ship."""

from __future__ import annotations

import ast

import pytest
from tree import ROOT, parsed, python_files

MODULES = ("pickle", "cPickle", "dill", "marshal", "shelve", "cloudpickle")
CALLS = ("eval", "os.system", "os.popen", "torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load")
TRUE_KEYWORDS = ("shell", "trust_remote_code", "allow_pickle")
EXEC_IN = ("launcher/recipe/loading.py", "launcher/training/user_code.py")
"""A recipe is a Python module that the user names, and may name one more: only loading these runs a text."""


def forbidden(tree: ast.AST, may_exec: bool = False) -> list[str]:
    """What of it stands in the code, with its line."""
    found = []
    calls = CALLS if may_exec else (*CALLS, "exec")
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [f"import {alias.name}" for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            whole = [f"{module}.{alias.name}" for alias in node.names]
            names = [f"from {name}" for name in whole if name in calls or module.split(".")[0] in MODULES]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            names = [f"{name}()"] if name in calls else []
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
                if keyword.arg in TRUE_KEYWORDS and not off:
                    names.append(f"{keyword.arg}=")
        found += [f"line {node.lineno}: {name}" for name in names]  # type: ignore[attr-defined]
    return found


def test_nothing_forbidden_is_written_anywhere() -> None:
    paths = [str(path.relative_to(ROOT)) for path in python_files("launcher", "recipes")]
    assert len(paths) > 40
    told = {path: forbidden(parsed(ROOT / path), path in EXEC_IN) for path in paths}
    assert {path: found for path, found in told.items() if found} == {}


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle",
        "import os, pickle as p",
        "from pickle import loads",
        "from os import system",
        "x = eval(text)",
        "exec(text)",
        "os.system(text)",
        "def f():\n    return torch.load(path)",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "subprocess.run(text, shell=True)",
        "subprocess.run(text, shell=wanted)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_a_planted_example_is_found(planted: str) -> None:
    assert len(forbidden(ast.parse(planted))) == 1


@pytest.mark.parametrize(
    "harmless",
    [
        "model.eval()",
        "yaml.safe_load(x)",
        "run(x, shell=False)",
        "from_pretrained(n, trust_remote_code=False)",
        "'eval('",
    ],
)
def test_what_is_harmless_is_let_through(harmless: str) -> None:
    assert forbidden(ast.parse(harmless)) == []


def without_encoding(tree: ast.AST) -> list[str]:
    """Texts that are read or written in the locale's encoding; what the kernel tells below /proc is ASCII."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            modes = [a.value for a in node.args[:2] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            opens = node.func.attr in ("open", "fdopen") and any(mode in ("r", "w", "a", "x") for mode in modes)
            is_text = node.func.attr in ("read_text", "write_text") or opens
            named = any(keyword.arg == "encoding" for keyword in node.keywords)
            of_the_kernel = "/proc/" in ast.unparse(node.func) or "distribution(" in ast.unparse(node.func)
            if is_text and not named and not of_the_kernel:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def test_every_text_has_an_encoding() -> None:
    told = {str(path.relative_to(ROOT)): without_encoding(parsed(path)) for path in python_files("launcher")}
    assert len(told) > 200
    assert {path: found for path, found in told.items() if found} == {}


@pytest.mark.parametrize(
    "planted", ["path.write_text(text)", "path.read_text()", "path.open('w')", "os.fdopen(3, 'w')"]
)
def test_a_text_without_one_is_found(planted: str) -> None:
    assert len(without_encoding(ast.parse(planted))) == 1
    assert without_encoding(ast.parse("path.write_text(text, encoding='utf-8'); path.open('wb')")) == []
