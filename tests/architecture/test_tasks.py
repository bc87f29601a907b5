"""A task declares what it is: nobody but its noun and its work asks which class it is."""

from __future__ import annotations

import ast
from typing import get_args

import pytest
from tree import ROOT, parsed, python_files

from launcher.recipe.task import Task

CLASSES = {task.__name__ for task in get_args(get_args(Task)[0])} | {"PlainTask", "Task"}
MAY_ASK = ("launcher/recipe/task.py", "launcher/training/tasks/")


def names_a_task(node: ast.AST) -> bool:
    """Whether one of the classes stands in it, by itself or in quotes."""
    for part in ast.walk(node):
        said = part.value if isinstance(part, ast.Constant) else getattr(part, "id", getattr(part, "attr", None))
        if isinstance(said, str) and said in CLASSES:
            return True
    return False


def is_a_task(node: ast.AST) -> bool:
    """Whether this is a task by its looks: `task`, `recipe.task`, `self._task`, `task.like`, `plain(…)`."""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).endswith("plain")
    name = ast.unparse(node)
    return name.endswith(("task", ".like")) and "(" not in name


def is_its_class(node: ast.AST) -> bool:
    """`type(task)`, `task.__class__`, `task.kind`, and a name of these."""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) == "type" and len(node.args) == 1 and is_a_task(node.args[0])
    if not isinstance(node, ast.Attribute):
        return False
    if node.attr == "__name__":
        return is_its_class(node.value)
    return node.attr in ("kind", "__class__") and is_a_task(node.value)


def questions(tree: ast.AST) -> list[str]:
    """Where it is asked which class a task is, with the line."""
    found = []
    for node in ast.walk(tree):
        asked = False
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            asked = any(is_a_task(one) or names_a_task(one) for one in node.args)
        elif isinstance(node, ast.Match):
            asked = is_a_task(node.subject) or any(names_a_task(case.pattern) for case in node.cases)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            asked = any(is_its_class(side) or names_a_task(side) for side in sides)
        elif isinstance(node, ast.Subscript):
            asked = is_its_class(node.slice)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            asked = any(is_its_class(one) for one in node.args[:1])
        if asked:
            found.append(f"line {node.lineno}: {ast.unparse(node).splitlines()[0]}")  # type: ignore[attr-defined]
    return found


def test_nobody_asks_which_class_a_task_is() -> None:
    paths = [str(path.relative_to(ROOT)) for path in python_files("launcher")]
    told = {path: questions(parsed(ROOT / path)) for path in paths if not path.startswith(MAY_ASK)}
    assert len(told) > 200
    assert {path: found for path, found in told.items() if found} == {}


def test_where_it_may_be_asked_it_is_seen() -> None:
    assert questions(parsed(ROOT / "launcher" / "recipe" / "task.py"))
    assert {"TextClassification", "MultiLabelClassification", "TokenClassification", "CustomTask"} < CLASSES


@pytest.mark.parametrize(
    "planted",
    [
        "x = isinstance(task, TokenClassification)",
        "x = isinstance(one, task.CustomTask)",
        "x = isinstance(recipe.task, Custom)",
        "x = isinstance(task, TextClassification | MultiLabelClassification)",
        "x = issubclass(made, (TextClassification, int))",
        "match one:\n    case TokenClassification():\n        pass",
        "match recipe.task:\n    case _:\n        pass",
        "match [one]:\n    case [launcher.TokenClassification(tokens=None)]:\n        pass",
        "x = type(recipe.task) is wanted",
        "x = type(one) is TextClassification",
        "x = type(plain(recipe.task)).__name__ in wanted",
        "x = task.__class__ == wanted",
        "x = recipe.task.kind == wanted",
        "x = plain(recipe.task).kind != wanted",
        "x = task.like.kind in wanted",
        "x = values['task'] == 'TokenClassification'",
        "x = WORDS[plain(recipe.task).kind]",
        "x = WORDS[type(task)]",
        "x = WORDS.get(task.kind, '')",
    ],
)
def test_a_planted_question_is_found(planted: str) -> None:
    assert len(questions(ast.parse(planted))) == 1


@pytest.mark.parametrize(
    "harmless",
    [
        "from launcher.recipe.task import TokenClassification",
        "x = f'{task.kind} needs {needed}'",
        "x = 'write TokenClassification(tokens=\"characters\")'",
        "x = answer_of(task) == 'tags'",
        "x = HEADS[task.head]",
        "x = isinstance(data, Table)",
        "x = data.kind == wanted",
        "match data:\n    case Table():\n        pass",
        "def f(task: TokenClassification) -> PlainTask: ...",
    ],
)
def test_what_is_harmless_is_let_through(harmless: str) -> None:
    assert questions(ast.parse(harmless)) == []
