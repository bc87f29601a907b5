"""Rows of several splits as one split of a global batch, in which the rows of other ranks are empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from launcher.training.batches.split import Column, Ragged, Split
from launcher.training.streaming.lanes import RowOf


def placed(rows: Mapping[int, RowOf], size: int) -> Split:
    """A split of `size` rows in which these are the rows of these numbers, and all others are empty."""
    numbers = sorted(rows)
    some = [rows[number] for number in numbers]
    places = np.array(numbers, np.int64)
    first = some[0].split

    def spread(values: Sequence[np.ndarray]) -> np.ndarray:
        whole = np.zeros((size, *values[0].shape), values[0].dtype)
        whole[places] = np.stack(values)
        return whole

    def column(name: str) -> Column:
        if not isinstance(first.columns[name], Ragged):
            return spread([row.split.array(name)[row.number] for row in some])
        parts = [row.split.ragged(name).row(row.number) for row in some]
        offsets = np.zeros(size + 1, np.int64)
        offsets[places + 1] = [len(part) for part in parts]
        return Ragged(np.concatenate(parts), np.cumsum(offsets))

    targets = {name: spread([row.split.targets[name][row.number] for row in some]) for name in first.targets}
    cost = spread([row.split.cost[row.number] for row in some])
    return Split({name: column(name) for name in first.columns}, targets, cost, np.arange(size))
