"""The facts of a model that memory is predicted from, as the heavy wing wrote them (`training/memory/facts.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
    peak: tuple[float, ...]
    rest: tuple[float, ...]


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
    evaluation: tuple[float, ...]
    longest: int
    layers: str

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
    terms = len(values["evaluation"])
    return ModelFacts(
        tensors=tuple(Tensor(rows, numel, bool(trains), unit) for rows, numel, trains, unit in values["tensors"]),
        idle=frozenset(values["idle_units"]),
        table=values["table"],
        buffers=int(values["buffers"]),
        total=int(values["parameters"]["total"]),
        trainable=int(values["parameters"]["trainable"]),
        backward=tuple(
            Interval(int(row[0]), tuple(row[1 : 1 + terms]), tuple(row[1 + terms :])) for row in values["backward"]
        ),
        evaluation=tuple(values["evaluation"]),
        longest=int(values["traced"]["longest"]),
        layers=str(values["traced"]["layers"]),
    )
