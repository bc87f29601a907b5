"""Rows of the data as a split on disk, so many at a time: what that takes in memory does not grow with the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from launcher.training.batches import split_file
from launcher.training.batches.split import Split
from launcher.training.tasks.base import Encoded, TaskWork, encoded

if TYPE_CHECKING:
    from launcher.training.data import Row


def encoded_to(path: Path, work: TaskWork, examples: Sequence[Row]) -> Encoded:
    """What the task makes of these rows of the data, written to the file that its split is then mapped from.

    Raises DataError as `encoded` does.
    """
    truncated: list[np.ndarray] = []
    lost: Counter[str] = Counter()
    left_out: list[int] = []

    def parts() -> Iterator[Split]:
        for start in range(0, max(1, len(examples)), work.rows_at_a_time):
            made = encoded(work, examples[start : start + work.rows_at_a_time])
            truncated.append(made.truncated)
            lost.update(made.lost)
            left_out.append(made.left_out)
            yield made.split

    split_file.write(parts(), path)
    return Encoded(Split.load(path), np.concatenate(truncated), dict(lost), sum(left_out))
