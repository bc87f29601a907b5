"""Evaluation over all ranks: every row counted exactly once at any world size."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from launcher.errors import Problem, WorkerError
from launcher.json_files import finite
from launcher.plan import fit
from launcher.plan.plan import Plan
from launcher.recipe.metrics import finite_number
from launcher.runs import pulse
from launcher.training.batches.order import MicroBatch, evaluation_batches
from launcher.training.batches.split import Column, Ragged, Split, take
from launcher.training.distributed.world import World
from launcher.training.model_parts.outputs import Tensors
from launcher.training.tasks.base import Kept, TaskWork
from launcher.training.tasks.collate import Batches
from launcher.training.tasks.keeping import Keeping
from launcher.training.tasks.writing import Writes

SECONDS_TO_COUNT, SECONDS_A_TARGET = 120.0, 2e-4
"""How long, and for each target, rank 0 may count while the others wait for the metrics: tasks may be users' own."""
EVALUATION_ROWS = fit.EVALUATED_ROWS
MOST_NUMBERS = 4_000_000
"""Kept in detail for figures. Of longer splits evenly spread rows are: a curve of so many points is as good as all."""


def rows_at_a_time(plan: Plan, most: int) -> int:
    """How many rows to compute without gradients, `most` where memory is not short."""
    return fit.rows_at_a_time(plan.micro_batch_size, plan.accumulation, most)


class Stopped(Exception):
    """A stop was requested while something other than a training step ran."""


@dataclass(frozen=True)
class Evaluated:
    """The metrics of a split, the same on every rank, and what was kept of its rows."""

    metrics: dict[str, Any]
    kept: Kept


def evaluate(
    outputs: Callable[[dict[str, torch.Tensor]], Tensors],
    batches: Batches,
    split: Split,
    world: World,
    batch_size: int,
    stop_asked: Callable[[], bool] = lambda: False,
    details: bool = False,
) -> Evaluated:
    """The task's metrics and the mean loss a target, unless the task gives that itself since its rows have none each.

    `outputs` computes one batch, in evaluation mode; all ranks call it equally often. With `details` there is also kept
    what figures are drawn from. Raises Stopped on every rank when any of them has a stop request, WorkerError should
    a row be left out.
    """
    pulse.enter("evaluating")
    work = batches.work
    keeping, detailed = Keeping(split.rows), _Details(work, split if details else None)
    losses = {name: torch.zeros(1, dtype=torch.float64) for name in split.targets}
    with torch.no_grad():
        for part in evaluation_batches(split.cost, batch_size, world.rank, world.size):
            vote = world.start_vote(stop_asked())
            inputs, wanted = batches(split, part.rows)
            given = outputs(inputs)
            keeping.add(part.rows, work.keep(given, wanted), part.counts)
            detailed.add(part, given, wanted)
            if part.counts and not work.couples:
                losses = {name: losses[name] + value.double().cpu() for name, value in work.loss(given, wanted).items()}
            pulse.tick("evaluating")
            if world.count_vote(vote):
                raise Stopped
    kept = Kept(keeping.together(world), *detailed.together(world))
    targets = work.targets(split, np.arange(split.rows), None)
    pulse.tick("measuring", allowed=SECONDS_TO_COUNT + sum(targets.values()) * SECONDS_A_TARGET)
    metrics: dict[str, Any] = _measured(work, split, kept) if world.leads else {}
    means = {name: float(world.total(loss).item()) / max(1, targets[name]) for name, loss in losses.items()}
    metrics |= means if len(means) > 1 else {}
    if not work.couples:
        metrics["loss"] = sum(means.values())
    metrics["examples"] = split.examples
    metrics = json.loads(world.tell(json.dumps(finite(metrics), default=str).encode()))
    return Evaluated(metrics, kept)


class _Details:
    """What the task gives in detail of evenly spread rows. An error in it does not end the evaluation."""

    def __init__(self, work: TaskWork, split: Split | None):
        self.work = work
        self.rows = np.zeros(0, dtype=np.int64)
        if split is not None:
            stride = max(1, -(-work.numbers_in_detail(split) // MOST_NUMBERS))
            self.rows = np.arange(0, split.rows, stride)
        self.keeping, self.broken = Keeping(len(self.rows)), ""

    def add(self, part: MicroBatch, outputs: Tensors, wanted: Tensors) -> None:
        """Those rows of this batch that are to have details."""
        if not len(self.rows) or self.broken:
            return
        try:
            given, chosen = self.work.detail(outputs, wanted), np.isin(part.rows, self.rows)
            indices = np.searchsorted(self.rows, part.rows[chosen])
            numbers = np.flatnonzero(chosen)
            self.keeping.add(indices, {name: take(value, numbers) for name, value in given.items()}, part.counts)
        except Exception as error:  # a task of the user's own may have outputs of another shape
            self.broken = f"{type(error).__name__}: {error}"

    def together(self, world: World) -> tuple[dict[str, Column], np.ndarray, str]:
        """Details, their rows, and why there are none; all ranks take part, whatever broke on one."""
        broke = int(world.largest(np.array([bool(self.broken)], dtype=np.int32))[0])
        if broke:
            return {}, self.rows[:0], self.broken or "another rank could not read the model's outputs"
        try:
            details = self.keeping.together(world)
        except WorkerError as error:  # the same on every rank
            return {}, self.rows[:0], str(error)
        floats = [c.values if isinstance(c, Ragged) else c for c in details.values()]
        if any(not np.isfinite(values).all() for values in floats):
            return {}, self.rows[:0], "the model's probabilities are not finite"
        return details, self.rows, ""


def _measured(work: TaskWork, split: Split, kept: Kept) -> dict[str, Any]:
    """The task's scores of the split. A metric that it declares is a float, or None where it has no value or is left
    out; a task of the user's own may give a tensor, numpy's number or a count. What a task that writes leaves out is
    scored of its texts, and told only where some are written (`with_texts`).
    """
    scores = _plain(work.score(split, kept))
    if not isinstance(scores, dict):
        do = "return a dict of floats, such as {'errors': 0.25}"
        raise WorkerError(Problem(f"score() of the task returned {type(scores).__name__}, not a dict", do=do))
    later = isinstance(work, Writes)
    declared = [name for name in work.metric_names if name != "loss" and (name in scores or not later)]
    return {**scores, **{name: finite_number(scores.get(name)) for name in declared}}


def _plain(value: Any) -> Any:
    """Tensors and numpy's arrays and numbers as Python's own."""
    if isinstance(value, Mapping):
        return {str(name): _plain(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    if isinstance(value, np.ndarray | np.generic | torch.Tensor):
        return value.tolist()
    return value
