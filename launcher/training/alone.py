"""Whether a row gets the same answer alone and beside longer ones: a check of every model before it is trained.

Padding must not change outputs. Where it does, the answer to a text depends on the other texts of its batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from launcher.runs import pulse
from launcher.training import sources
from launcher.training.batches.split import Split
from launcher.training.distributed.world import World
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.model_parts.sparse_table import base_of
from launcher.training.tasks.collate import Batches

TOLERANCE, FRACTION, ROUNDING = 1e-5, 1e-4, 1e-6
"""Largest difference allowed between them: sums of other lengths are rounded otherwise. A fresh head gives small
numbers, and then it is a fraction of these."""
LONGER = 24
"""Tokens by which the longer neighbour should be longer, if there is one: enough to see, and quickly computed."""


@dataclass(frozen=True)
class Compared:
    """How far the answers for the same rows lie apart, and how large they are. `rows` is 0 where none is padded."""

    rows: int
    difference: float
    size: float

    @property
    def alike(self) -> bool:
        """Whether they differ by no more than rounding."""
        return self.difference <= min(TOLERANCE * max(1.0, self.size), max(FRACTION * self.size, ROUNDING))

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {"rows": self.rows, "largest_difference": self.difference, "alike": self.alike}

    def said(self) -> str:
        """The warning, '' where there is nothing to warn of."""
        if self.alike:
            return ""
        return (
            f"this model answers for a text otherwise when a longer one stands beside it (logits of up to "
            f"{self.size:.2g} differ by {self.difference:.2g}): it does not hide padding, so its metrics and "
            f"predictions depend on the batch"
        )


@torch.no_grad()
def compared(model: nn.Module, split: Split, batches: Batches) -> Compared:
    """Compare short rows alone and with a longer one between them. Draws nothing, and keeps the model's mode."""
    rows = _rows(split.cost)
    if len(rows) < 2:
        return Compared(0, 0.0, 0.0)
    training, difference, size = model.training, 0.0, 0.0
    model.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            beside = _outputs(model, batches, split, rows)
            for index in [index for index, row in enumerate(rows) if row != rows[1]]:
                alone = _outputs(model, batches, split, rows[index : index + 1])
                for name, values in alone.items():
                    there = beside[name][index][tuple(slice(0, length) for length in values.shape[1:])]
                    difference = max(difference, float((there - values[0]).abs().max()))
                    size = max(size, float(values.abs().max()))
    finally:
        model.train(training)
    # NaN is not equal to itself, and is no evidence about padding
    return Compared(len(rows) - 1, difference, size) if np.isfinite(size) else Compared(0, 0.0, 0.0)


def tell_of(
    model: nn.Module,
    split: Split,
    batches: Batches,
    world: World,
    note: Callable[[str], None],
) -> dict[str, Any]:
    """Note what became of a head that the source had, and a warning where padding matters; the outcome's `padding`.

    On rank 0, before the model is spread: it lies whole on the CPU.
    """
    if not world.leads:
        return {}
    pulse.tick("asking rows alone and beside others")
    comparison = compared(model, split, replace(batches, device=torch.device("cpu")))
    for said in (sources.said_of(base_of(model)), comparison.said()):
        if said:
            note(said)
    return comparison.document()


def _rows(lengths: np.ndarray) -> np.ndarray:
    """A short row, a longer one, another short one; fewer where all are of one length."""
    if not len(lengths):
        return np.zeros(0, dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    short = order[0]
    longer = order[lengths[order] >= lengths[short] + LONGER]
    longest = longer[0] if len(longer) else order[-1]
    if lengths[longest] == lengths[short]:
        return order[:0]
    between = order[(lengths[order] > lengths[short]) & (lengths[order] < lengths[longest])]
    return np.array([short, longest, between[len(between) // 2] if len(between) else short])


def _outputs(model: nn.Module, batches: Batches, split: Split, rows: np.ndarray) -> dict[str, torch.Tensor]:
    names = [name for name in batches.work.outputs if name not in batches.work.choices]
    return outputs_of(model, batches(split, rows).inputs, names)
