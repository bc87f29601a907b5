"""Rows of the data as rows of a split: what a task's `encode` gives, and what is not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from launcher.training.batches.split import Column, Split


@dataclass(frozen=True)
class Encoded:
    """Rows of a split, and what the model does not see of the examples that they were made of."""

    split: Split
    truncated: np.ndarray
    """Whether an example was cut, bool [examples]."""
    lost: Mapping[str, int] = field(default_factory=dict)
    """Counts of what else is not seen, under names of the task's own (see `lost`)."""
    left_out: int = 0
    """How many examples have no row, since nothing could be learnt from them; the others are counted from 0 on."""


@dataclass(frozen=True)
class Kept:
    """What an evaluation kept: `values` of every row, `details` of the rows `detailed` (row numbers, in order)."""

    values: Mapping[str, Column]
    details: Mapping[str, Column] = field(default_factory=dict)
    detailed: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    broken: str = ""
    """Why there are no details, where the task could not give them."""
