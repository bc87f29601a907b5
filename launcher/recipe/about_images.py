"""What a task of images declares, asked of any task."""

from __future__ import annotations

from launcher.recipe.task import Task, plain


def reads_images(task: Task) -> bool:
    """Whether a row is an image and no text: there are no tokens then, and no longest input."""
    return plain(task).fields[0].kind == "image"


def image_size(task: Task) -> int | None:
    """Pixels of the square image that the task wants; None where the model says it."""
    size: int | None = getattr(plain(task), "size", None)
    return size


def skips_broken(task: Task) -> bool:
    """Whether rows that cannot be decoded are left out."""
    return getattr(plain(task), "broken", "stop") == "skip"


def trains_batch_norm(task: Task) -> bool:
    """Whether batch normalisation goes by the statistics of the batch, and stores them."""
    return getattr(plain(task), "batch_norm", "frozen") == "trained"
