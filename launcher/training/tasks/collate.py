"""From rows of a split to the tensors of a batch, on the device that computes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from launcher.errors import Problem, WorkerError
from launcher.training.batches.split import FURTHER, TOKENS, Split
from launcher.training.model_parts.packing import SPARE
from launcher.training.tasks.base import Draw, TaskWork


class Batch(NamedTuple):
    """What the forward pass takes, and what the loss takes besides its outputs."""

    inputs: dict[str, torch.Tensor]
    wanted: dict[str, torch.Tensor]


@dataclass(frozen=True)
class Batches:
    """Callable: `(split, rows, draw) -> Batch`."""

    work: TaskWork
    device: torch.device
    packing: bool = False
    """Whether the model can pack rows (`model_parts.packing`): then padded ones come with what that takes."""

    def __call__(self, split: Split, rows: np.ndarray, draw: Draw | None = None) -> Batch:
        """What the task collates of these rows."""
        arrays = self.work.collate(split, rows, draw)
        if self.packing:
            for which in ("", FURTHER):
                spare = spare_places(arrays.get(which + "attention_mask"))
                arrays |= {which + name: values for name, values in spare.items()}
        tensors = {name: torch.from_numpy(values).to(self.device, non_blocking=True) for name, values in arrays.items()}
        self._refuse_other_tokens(arrays, split, rows)
        if lacking := [name for name in self.work.wanted if name not in tensors]:
            what = f"the task wants {', '.join(lacking)}, and its batches hold {', '.join(tensors)}"
            raise WorkerError(Problem(what, do="give encode() a column of that name"))
        wanted = {name: tensors.pop(name) for name in self.work.wanted}
        return Batch(tensors, wanted)

    def _refuse_other_tokens(self, arrays: Mapping[str, np.ndarray], split: Split, rows: np.ndarray) -> None:
        """Raise WorkerError where a task of the user's own draws tokens and does not say so: they would not train."""
        work = self.work
        if TOKENS not in arrays or work.feeds_any_token or type(work).collate is TaskWork.collate:
            return
        known = [*split.distinct_tokens(rows), int(work.tokenizer.pad_token_id or 0)]
        if not np.isin(arrays[TOKENS], known).all():
            what = "the task's collate() puts tokens into a batch that its rows do not have"
            raise WorkerError(Problem(what, do="write feeds_any_token = True in its class"))


def spare_places(mask: np.ndarray | None) -> dict[str, np.ndarray]:
    """What tells a model to pack padded rows, by its name; nothing where none of them begins at its first place, or
    less than one place of each holds no token.
    """
    if mask is None or (mask[:, 1:] > mask[:, :-1]).any():
        return {}
    spare = int((mask == 0).sum()) // len(mask)
    return {SPARE: np.zeros((len(mask), spare), dtype=np.int8)} if spare else {}


class Ahead:
    """Batches in the order that a loop takes them.

    Where the task says so, the next one is made by a thread while this one is computed.
    """

    def __init__(self, batches: Batches):
        self.batches = batches
        self.seconds = 0.0
        """How long was waited for batches, in all."""
        self.thread: ThreadPoolExecutor | None = None
        self.room_for_a_thread = True
        self.begun: tuple[np.ndarray, Draw, Future[Batch]] | None = None

    def __call__(self, split: Split, rows: np.ndarray, draw: Draw, following: np.ndarray | None) -> Batch:
        """The batch of these rows; those of the same split that will be asked for next are begun with."""
        began = time.monotonic()
        batch = self._made(split, rows, draw)
        self.begun = self._begin(split, following, draw)
        self.seconds += time.monotonic() - began
        return batch

    def part_of(self, seconds: float) -> float | None:
        """The part of these seconds that was spent waiting; None where there are none."""
        return self.seconds / seconds if seconds else None

    def _made(self, split: Split, rows: np.ndarray, draw: Draw) -> Batch:
        if self.begun is not None:
            begun, then, batch = self.begun
            if then == draw and np.array_equal(begun, rows):
                return batch.result()
        return self.batches(split, rows, draw)

    def _begin(
        self, split: Split, rows: np.ndarray | None, draw: Draw
    ) -> tuple[np.ndarray, Draw, Future[Batch]] | None:
        if rows is None or not self.batches.work.made_ahead or not self.room_for_a_thread:
            return None
        self.thread = self.thread or ThreadPoolExecutor(1)
        try:
            return rows, draw, self.thread.submit(self.batches, split, rows, draw)
        except RuntimeError:  # no thread can be started: there may be no room for its stack
            self.room_for_a_thread = False
            return None
