"""What is asked of recipes about search: tasks that compare texts with each other."""

from __future__ import annotations

from launcher.recipe.declared import Asked
from launcher.recipe.task import Task, answer_of, plain


def couples_rows(task: Task) -> bool:
    """Whether its loss is one of a whole batch, in which each row is compared with the others."""
    return bool(getattr(plain(task), "couples_rows", False))


def reads_texts_apart(task: Task) -> bool:
    """Whether a row is several inputs of the model: texts that become vectors, or a query with each of its passages."""
    return plain(task).head == "embedding" or answer_of(task) == "passage"


def pooling_of(task: Task) -> str | None:
    """Which states become a text's vector, where the task says so."""
    pooling: str | None = getattr(plain(task), "pooling", None)
    return pooling


def asked_about(task: Task) -> Asked | None:
    """What its model is asked about, where the rows do not say it."""
    asked: Asked | None = getattr(plain(task), "asked", None)
    return asked


def sizes_of(task: Task) -> tuple[int, ...]:
    """Numbers of leading components that are to be vectors by themselves."""
    sizes: tuple[int, ...] = getattr(plain(task), "sizes", ())
    return sizes
