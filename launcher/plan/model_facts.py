"""The facts of a model that memory is predicted from, as the heavy wing wrote them (`training/memory/facts.py`)."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

WORD = 4
"""Bytes of a weight, a gradient and each of the optimiser's numbers."""


@dataclass(frozen=True)
class Curve:
    """Bytes by the rows of a micro-batch, each as long as the longest: what was traced, and straight lines between.

    A peak is the largest of several sums (the head with its copy of a large matrix, or a layer with its states). Each
    of them grows evenly with the rows, but which is the largest changes, so one line through many rows misses few.
    """

    rows: tuple[int, ...]
    """Two or more, from few to many."""
    values: tuple[float, ...]

    def at(self, rows: int) -> int:
        """Of so many rows; none take nothing."""
        if rows == 0:
            return 0
        upper = min(max(bisect_left(self.rows, rows), 1), len(self.rows) - 1)
        few, many = self.rows[upper - 1], self.rows[upper]
        below, above = self.values[upper - 1], self.values[upper]
        return max(0, round(below + (above - below) * (rows - few) / (many - few)))


@dataclass(frozen=True)
class Tensor:
    """One parameter: rows of its first dimension, elements, whether it trains, the unit that gathers it or -1."""

    rows: int
    numel: int
    trains: bool
    unit: int


@dataclass(frozen=True)
class Interval:
    """The time in which one parameter's gradient comes into being: bytes at its fullest, and what is left after."""

    tensor: int
    peak: Curve
    rest: Curve


@dataclass(frozen=True)
class ModelFacts:
    """See `training/memory/facts.py`, which writes them."""

    tensors: tuple[Tensor, ...]
    idle: frozenset[int]
    table: int | None
    buffers: int
    total: int
    trainable: int
    backward: tuple[Interval, ...]
    evaluation: Curve
    longest: int
    layers: str
    anchored: bool = False
    """Whether EWC holds on to what trains: its weights as they were, and what they are worth."""
    other_model: int = 0
    """Bytes of the earlier model that LwF asks."""

    @property
    def remembered(self) -> int:
        """Bytes that every rank keeps whole of the run before."""
        return (2 * WORD * self.gradient_numel if self.anchored else 0) + self.other_model

    @property
    def gradient_numel(self) -> int:
        """Elements of the gradient: of what trains of the model as it is held (of a table the named rows)."""
        return sum(tensor.numel for tensor in self.tensors if tensor.trains)

    @property
    def unit_sizes(self) -> dict[int, int]:
        """Elements of each unit that is gathered whole in training; -1 is what belongs to no unit."""
        sizes: dict[int, int] = {}
        for tensor in self.tensors:
            if tensor.unit not in self.idle:
                sizes[tensor.unit] = sizes.get(tensor.unit, 0) + tensor.numel
        return sizes


def facts_from(values: dict[str, Any]) -> ModelFacts:
    """The facts that the heavy wing wrote as JSON."""
    rows = tuple(values["rows"])
    count = len(rows)
    return ModelFacts(
        tensors=tuple(Tensor(rows, numel, bool(trains), unit) for rows, numel, trains, unit in values["tensors"]),
        idle=frozenset(values["idle_units"]),
        table=values["table"],
        buffers=int(values["buffers"]),
        total=int(values["parameters"]["total"]),
        trainable=int(values["parameters"]["trainable"]),
        backward=tuple(
            Interval(int(row[0]), Curve(rows, tuple(row[1 : 1 + count])), Curve(rows, tuple(row[1 + count :])))
            for row in values["backward"]
        ),
        evaluation=Curve(rows, tuple(values["evaluation"])),
        longest=int(values["traced"]["longest"]),
        layers=str(values["traced"]["layers"]),
        anchored=bool(values.get("anchored", False)),
        other_model=int(values.get("other_model", 0)),
    )
