"""Whether vectors can be cut as the task says: asked of the model's configuration, before a row is encoded."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem
from launcher.recipe.about_search import sizes_of
from launcher.recipe.source import FromConfig, Pretrained
from launcher.recipe.task import PlainTask
from launcher.training.sources.bodies import name_of, own_config


def too_large(embedding: Pretrained | FromConfig, task: PlainTask) -> Iterator[Problem]:
    """Sizes that are not smaller than the model's vectors."""
    sizes = sizes_of(task)
    if not sizes:
        return
    width = int(own_config(embedding).get_text_config().hidden_size)
    if beyond := [str(size) for size in sizes if size >= width]:
        what = f"vectors of {name_of(embedding)} have {width:,} numbers, and task.sizes names {', '.join(beyond)}"
        yield Problem(what, "task.sizes", f"name sizes below {width:,}; the whole is trained in any case")
