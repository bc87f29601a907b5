"""Whether a row is answered for alike alone and beside longer ones, asked of every model before it is trained.

Padding must not speak. Where it does, what is said of a text hangs on the texts that happen to stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from launcher.training import sources
from launcher.training.batches.split import Split
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.model_parts.sparse_table import base_of
from launcher.training.tasks.collate import Batches

TOLERANCE, FRACTION, ROUNDING = 1e-5, 1e-4, 1e-6
"""What may lie between them: sums of other lengths are rounded otherwise. A fresh head answers with small numbers, and
then a fraction of these."""
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
        """Whether no more than rounding tells them apart."""
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
    """Ask for short rows alone, and with a longer one between them. Draws nothing, and leaves the model's mode."""
    rows = _rows(split.cost)
    if len(rows) < 2:
        return Compared(0, 0.0, 0.0)
    training, difference, size = model.training, 0.0, 0.0
    model.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            beside = _outputs(model, batches, split, rows)
            for place in [place for place, row in enumerate(rows) if row != rows[1]]:
                alone = _outputs(model, batches, split, rows[place : place + 1])
                for name, values in alone.items():
                    there = beside[name][place][tuple(slice(0, length) for length in values.shape[1:])]
                    difference = max(difference, float((there - values[0]).abs().max()))
                    size = max(size, float(values.abs().max()))
    finally:
        model.train(training)
    # not a number is not equal to itself, and says nothing of padding
    return Compared(len(rows) - 1, difference, size) if np.isfinite(size) else Compared(0, 0.0, 0.0)


def tell_of(
    model: nn.Module,
    split: Split,
    batches: Batches,
    note: Callable[[str], None],
) -> dict[str, Any]:
    """Note what became of a head that the source had, and a warning where padding speaks; the outcome's `padding`."""
    found = compared(model, split, batches)
    for said in (sources.said_of(base_of(model)), found.said()):
        if said:
            note(said)
    return found.document()


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
    return outputs_of(model, batches(split, rows).inputs, batches.work.outputs)
