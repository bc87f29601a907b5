"""Rows of the data as rows of a split: what a task's `encode` gives, looked at and joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from launcher.errors import DataError, Problem
from launcher.training.batches.split import Split, rows_in

if TYPE_CHECKING:
    from launcher.training.data import Row
    from launcher.training.tasks.base import TaskWork


@dataclass(frozen=True)
class Encoded:
    """Rows of a split, and what the model does not see of the examples that they were made of."""

    split: Split
    truncated: np.ndarray
    """Whether an example was cut, bool [examples]."""
    lost: Mapping[str, int] = field(default_factory=dict)
    """Counts of what else is not seen, under names of the task's own (see `lost`)."""


def encoded(work: TaskWork, examples: Sequence[Row]) -> Encoded:
    """What the task makes of these rows of the data. Raises DataError where its parts do not belong together."""
    made = work.encode(examples)
    split, rows = made.split, made.split.rows
    lengths = {f"the column {name!r}": rows_in(column) for name, column in split.columns.items()}
    lengths |= {f"the targets {name!r}": len(counts) for name, counts in split.targets.items()}
    lengths["example"] = len(split.example)
    problems = [f"{name} has {count:,} rows, and cost {rows:,}" for name, count in lengths.items() if count != rows]
    if not problems and not np.array_equal(np.unique(split.example), np.arange(len(examples))):
        problems = [f"example does not name each of the {len(examples):,} examples from 0 on"]
    elif not problems and (np.diff(split.example) < 0).any():
        problems = ["the rows of one example do not follow each other"]
    if len(made.truncated) != len(examples):
        problems.append(f"truncated has {len(made.truncated):,} values for {len(examples):,} examples")
    if problems:
        do = "give each column, targets, cost and example a value for each row, and truncated one for each example"
        raise DataError([Problem(f"encode() of the task: {problem}", do=do) for problem in problems])
    return made


def joined(parts: Sequence[Encoded]) -> Encoded:
    """Several blocks as one."""
    lost = {name: sum(part.lost[name] for part in parts) for name in parts[0].lost}
    split = Split.joined([part.split for part in parts])
    return Encoded(split, np.concatenate([part.truncated for part in parts]), lost)
