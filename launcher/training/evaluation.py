"""Evaluation over all ranks: every example counted exactly once at any world size."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from launcher.errors import Problem, WorkerError
from launcher.json_files import finite
from launcher.plan.plan import Plan
from launcher.recipe.metrics import finite_number
from launcher.runs import pulse
from launcher.training.batches.split import Split, evaluation_batches
from launcher.training.distributed.world import World
from launcher.training.report.predictions import PredictionRecorder
from launcher.training.tasks import TaskWork

UNSEEN = -1
SECONDS_TO_COUNT, SECONDS_A_TARGET = 120.0, 2e-4
"""So long, and for each target, rank 0 may count while the others wait for the metrics: a task may be anybody's."""
EVALUATION_ROWS = 64
"""Most rows that one process evaluates at a time; a training micro-batch may be larger."""


def rows_at_a_time(plan: Plan, most: int) -> int:
    """How many rows to compute without gradients: `most`, or twice the micro-batch where memory is so short that
    a process's share of the batch was divided.
    """
    return most if plan.accumulation == 1 else min(most, 2 * plan.micro_batch_size)


class Stopped(Exception):
    """A stop was asked for while something other than a training step ran."""


def evaluate(
    logits: Callable[[dict[str, torch.Tensor]], torch.Tensor],
    work: TaskWork,
    split: Split,
    labels: Sequence[str],
    inputs: Callable[[Split, np.ndarray], dict[str, torch.Tensor]],
    world: World,
    batch_size: int,
    stop_asked: Callable[[], bool] = lambda: False,
    recorder: PredictionRecorder | None = None,
) -> dict[str, Any]:
    """The task's metrics and the mean loss a target, the same on every rank.

    `logits` computes one batch, in evaluation mode; all ranks call it equally often. Each rank fills in its
    own rows of one array over all targets; their maximum is the whole. `recorder` keeps what was said. Raises
    Stopped on every rank when any of them was asked to stop, WorkerError should a target be left without a prediction.
    """
    pulse.enter("evaluating")
    starts = np.concatenate([[0], np.cumsum(split.targets)])
    predicted = np.full(int(starts[-1]), UNSEEN, dtype=np.int32)
    loss = torch.zeros(1, dtype=torch.float64)
    with torch.no_grad():
        for part in evaluation_batches(split, batch_size, world.rank, world.size):
            vote = world.start_vote(stop_asked())
            batch = inputs(split, part.rows)
            wanted = batch.pop("labels")
            told = logits(batch)
            if part.counts:
                loss += work.loss_sum(told, wanted).double().cpu()
                guesses = work.guess(told).cpu().numpy()
                chosen = guesses[wanted.cpu().numpy() != -100]
                places = np.concatenate([np.arange(starts[row], starts[row + 1]) for row in part.rows])
                predicted[places] = chosen
                if recorder is not None:
                    recorder.record(places, told, wanted)
            pulse.tick("evaluating")
            if world.count_vote(vote):
                raise Stopped
    predicted, loss = world.largest(predicted), world.total(loss)
    if recorder is not None:
        recorder.gather(world, predicted)
    if (predicted == UNSEEN).any():
        missed = int((predicted == UNSEEN).sum())
        raise WorkerError(Problem(f"{missed} of {len(predicted)} targets were not evaluated"))
    pulse.tick("measuring", allowed=SECONDS_TO_COUNT + len(predicted) * SECONDS_A_TARGET)
    metrics: dict[str, Any] = _measured(work, split, predicted, labels) if world.leads else {}
    metrics["loss"] = float(loss.item()) / max(1, len(predicted))
    metrics["examples"] = split.rows
    metrics = json.loads(world.tell(json.dumps(finite(metrics), default=str).encode()))
    return metrics


def _measured(work: TaskWork, split: Split, predicted: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """What the task says of the split. A metric that it declares is a float, or None where it has no value or is left
    out; a task of the user's own may give a tensor, numpy's number or a count.
    """
    told = _plain(work.metrics(split.columns, predicted, labels))
    if not isinstance(told, dict):
        do = "return a dict of floats, such as {'errors': 0.25}"
        raise WorkerError(Problem(f"metrics() of the task returned {type(told).__name__}, not a dict", do=do))
    declared = [name for name in getattr(work, "metric_names", ()) if name != "loss"]
    return {**told, **{name: finite_number(told.get(name)) for name in declared}}


def _plain(value: Any) -> Any:
    """Tensors and numpy's arrays and numbers as Python's own."""
    if isinstance(value, Mapping):
        return {str(name): _plain(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    if isinstance(value, np.ndarray | np.generic | torch.Tensor):
        return value.tolist()
    return value
