"""The training loop: the only one, for every task, source, method and strategy.

Contract:

1. `batch_size` rows make one optimiser step, on 1 or 64 processes. The order of rows is a function of
   (seed, epoch); a rank takes its slice of each global batch, in `accumulation` micro-batches.
   Where nobody knows beforehand how many rows there are, as in a stream, training may end before its last step.
2. A loss is the mean over all its targets (texts, labelled tokens) of the whole global batch. Each micro-batch
   contributes its sum divided by the batch's number of targets, which every rank knows without communication (of a
   stream by one small sum a step); so uneven micro-batches, short last batches and ranks without rows do not change
   the curve. Micro-batches part a share as ranks part the batch: one process in two of them is two CPU processes, of
   as many threads, to the bit.
   A task that compares the rows of a batch with each other has one loss of the whole batch (`steps.whole_batch`).
3. One step: for each micro-batch forward (under R-Drop with each row twice) and backward (both of them twice under
   FGM; gradients are summed over ranks with the last one, to which a method may add a penalty: once a step), the
   touched rows of embedding tables, clip, optimiser, what the method does after a step, zero, schedule.
4. Nothing is read back from the device in a step, except when a log line is due.
5. When any rank has a request to stop, all stop after the same step (a vote runs beside the computation).
6. After a step, in this order: log, evaluate, checkpoint, stop. A resumed run makes up for an evaluation that
   was due when it was stopped.
7. The state after step s is a function of the recipe alone (and of each rank's dropout generator, which is
   saved): resuming gives bit-identical losses on the same layout.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from launcher.errors import Problem, WorkerError
from launcher.plan.plan import Plan
from launcher.recipe.declared import Better
from launcher.recipe.metrics import finite_number, improves
from launcher.recipe.training import Training
from launcher.runs import pulse
from launcher.training.batches.order import MicroBatch
from launcher.training.batches.rows import RowSource, Step
from launcher.training.evaluation import Stopped
from launcher.training.methods import MethodWork
from launcher.training.model_parts.batch_norm import counting
from launcher.training.model_parts.outputs import Tensors
from launcher.training.precision import DIVERGED
from launcher.training.steps.shape import StepShape, mean_of
from launcher.training.strategies import Strategy, gradient_bytes, verify_stepped
from launcher.training.tasks.base import TaskWork
from launcher.training.tasks.collate import Ahead, Batches


@dataclass(frozen=True)
class Best:
    """The best step by validation, and how many evaluations since then were no better."""

    step: int | None = None
    metrics: dict[str, Any] | None = None
    evaluations_since: int = 0


@dataclass
class LoopState:
    """All that decides the next step besides tensors; saved with every checkpoint."""

    step: int = 0
    evaluated_step: int = -1
    best_step: int | None = None
    best_metrics: dict[str, Any] | None = None
    evaluations_without_better: int = 0
    finished_early: bool = False

    def take(self, best: Best) -> None:
        """From now on this one is the best."""
        self.best_step, self.best_metrics = best.step, best.metrics
        self.evaluations_without_better = best.evaluations_since

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


class Observer(Protocol):
    """What the loop calls out to; it decides nothing itself."""

    def logged(self, step: int, numbers: dict[str, float]) -> None:
        """A log line is due."""

    def first_step(self) -> None:
        """The first step of this attempt is done."""

    def pulse(self, step: int) -> None:
        """A step has ended (called at every step; must be cheap)."""

    def evaluate(self, step: int, write: bool) -> dict[str, Any]:
        """The metrics on the validation split; with `write` also those of texts."""
        ...

    def save(self, state: LoopState) -> None:
        """Begin to write a checkpoint."""

    def kept(self, step: int) -> bool:
        """Whether the checkpoint of `step`, the last one begun, is on disk; the same on all ranks."""
        ...


@dataclass
class Loop:
    """One rank's training: `run` goes from `state.step` to the end, or to a requested stop."""

    plan: Plan
    training: Training
    strategy: Strategy
    schedule: torch.optim.lr_scheduler.LRScheduler
    work: TaskWork
    rows: RowSource
    batches: Batches
    shape: StepShape
    observer: Observer
    better: Better
    method: MethodWork
    stop_asked: Callable[[], bool]
    state: LoopState = field(default_factory=LoopState)
    first_step_done: float | None = None
    seconds_in_steps: float = 0.0
    examples: int = 0
    counted: tuple[int, float] = (0, 0.0)
    began: float = 0.0
    no_more: bool = False
    """Whether the rows came to their end."""
    saved_step: int = -1
    kept_step: int = -1
    best_before: Best = Best()
    """The one until the last improvement."""
    held: dict[str, int] | None = None
    """Bytes of gradients and optimiser state that this rank holds, once a step has shown them."""

    def __post_init__(self) -> None:
        """Nothing is made before the first step asks for it."""
        self.ahead = Ahead(self.batches)

    def run(self) -> bool:
        """Train; True when training is complete, False when it was stopped on request."""
        self.strategy.wrapped.train()
        self.method.begin(self.strategy.model, self.plan.scheduled(self.training))
        if self._between_steps(stop=False):
            return False
        while self.state.step < self.plan.steps and not self.state.finished_early:
            self.began = time.monotonic()
            rows = self.rows.step(self.state.step)
            if rows is None:
                return not self._end()
            vote = self.strategy.world.start_vote(self.stop_asked())
            loss, norm = self._step(rows)
            self.state.step += 1
            self.examples += rows.examples
            if self._log_due():
                total = float(self.strategy.world.total(loss).item())
                self.observer.logged(self.state.step, self._numbers(total, norm))
            self.observer.pulse(self.state.step)
            self.seconds_in_steps += time.monotonic() - self.began
            if self.first_step_done is None:
                self.first_step_done = time.time()
                self.observer.first_step()
            if self._between_steps(self.strategy.world.count_vote(vote)):
                return False
        return True

    def _end(self) -> bool:
        """There are no more rows: conclude as after the last step; whether training stops here on request."""
        self.no_more = self.state.finished_early = True
        return self._between_steps(stop=False)

    def _between_steps(self, stop: bool) -> bool:
        """What is due between two steps: evaluate, checkpoint; whether training stops here on request."""
        improved = False
        if not stop and self._evaluation_due():
            try:
                improved = self._evaluate()
            except Stopped:
                stop = True
        if improved or stop or (self._checkpoint_due() and self.state.step != self.saved_step):
            self._settle_best()
            self.observer.save(self.state)
            self.saved_step = self.state.step
        return stop

    def _step(self, step: Step) -> tuple[torch.Tensor, torch.Tensor | float]:
        """One optimiser step: this rank's part of the batch's mean loss, and the gradient's norm, on the device."""
        world, parts = self.strategy.world, step.parts
        targets = {name: max(1, count) for name, count in step.targets.items()}
        rank_loss, gradients = torch.zeros((), device=world.device), 0
        self.shape.begin(self.work, self._outputs, step, lambda part: self.batches(step.split, part.rows, step.draw))
        passes = [(part, turn) for part in parts for turn in range(self.shape.turns)]
        for number, (part, turn) in enumerate(passes):
            with self.strategy.micro_batch(last=number == len(passes) - 1), counting(part.counts):
                if turn == 0:
                    following = self._following(parts, number // self.shape.turns)
                    micro_batch = self.ahead(step.split, part.rows, step.draw, following)
                loss = mean_of(self.shape.losses(self.work, self._outputs, micro_batch, turn), targets)
                if not part.counts:
                    loss = loss * 0.0
                penalty = self._penalty() if number == len(passes) - 1 else None
                self.strategy.backward(loss, penalty)
                rank_loss += loss.detach() if penalty is None else loss.detach() + penalty.detach() / world.size
            if number:
                pulse.tick()
            if self.held is None:
                gradients = max(gradients, gradient_bytes(self.strategy))
        after = self._after_step if self.method.acts_after_steps else None
        norm = self.strategy.update(lambda: step.split.distinct_tokens(step.rows), after)
        if self.held is None:
            self.held = verify_stepped(self.strategy, gradients)
        self.schedule.step()
        return rank_loss, norm

    def _following(self, parts: list[MicroBatch], number: int) -> np.ndarray | None:
        """The rows that this rank computes after that part, where they are known."""
        if number + 1 < len(parts):
            return parts[number + 1].rows
        step = self.state.step + 1
        return self.rows.following(step) if step < self.plan.steps else None

    def _penalty(self) -> torch.Tensor | None:
        return self.strategy.penalty(self.method.penalty) if self.method.lives else None

    @torch.no_grad()
    def _after_step(self, model: nn.Module) -> None:
        self.method.after_step(model, self.state.step + 1)

    def _outputs(self, inputs: Tensors) -> Tensors:
        return self.strategy.outputs(inputs, self.work.outputs)

    def _numbers(self, loss: float, norm: torch.Tensor | float) -> dict[str, float]:
        if not np.isfinite(loss):
            raise WorkerError(
                Problem(
                    f"the loss is {loss} at step {self.state.step}",
                    do=DIVERGED,
                )
            )
        seconds_so_far = self.seconds_in_steps + time.monotonic() - self.began
        examples, seconds = self.examples - self.counted[0], seconds_so_far - self.counted[1]
        self.counted = (self.examples, seconds_so_far)
        return {
            "loss": loss,
            "learning_rate": float(self.schedule.get_last_lr()[0]),
            "gradient_norm": float(norm),
            "examples_per_second": examples / seconds,
            "epoch": self.rows.passed(self.state.step),
        }

    def _log_due(self) -> bool:
        return self.state.step % self.training.log_every == 0 or self.state.step in (1, self.plan.steps)

    def _due(self, every: int | None) -> bool:
        if self.state.step == self.plan.steps or self.no_more:  # at step 0 where nothing is to be learnt
            return True
        every = every or self.plan.steps_per_epoch
        return every is not None and self.state.step > 0 and self.state.step % every == 0

    def _checkpoint_due(self) -> bool:
        return self._due(self.training.checkpoint_every) or self.state.finished_early

    def _evaluation_due(self) -> bool:
        return self._due(self.training.evaluate_every) and self.state.evaluated_step < self.state.step

    def _evaluate(self) -> bool:
        """Evaluate, and update selection and patience; whether this is the best so far."""
        self._settle_best()
        state = self.state
        write = self.training.writes_at(state.step, state.evaluated_step, self.plan.steps)
        metrics = self.observer.evaluate(state.step, write)
        name = str(self.training.select_by)
        value, best = finite_number(metrics.get(name)), finite_number((state.best_metrics or {}).get(name))
        improved = improves(value, best, self.better)
        state.evaluated_step = state.step
        if improved:
            self.best_before = Best(state.best_step, state.best_metrics, state.evaluations_without_better)
            state.take(Best(state.step, metrics))
        elif value is not None:  # one without a value is no evidence about progress
            state.evaluations_without_better += 1
        patience = self.training.patience
        state.finished_early = patience is not None and state.evaluations_without_better >= patience
        return improved

    def _settle_best(self) -> None:
        """Where the best step's checkpoint could not be written the one before is the best again: it is on disk.

        Nothing later may rely on weights that are not on disk; the checkpoints before it would be pruned for them.
        """
        state = self.state
        if state.best_step in (None, self.kept_step) or state.best_step != self.saved_step:
            return
        if self.observer.kept(self.saved_step):
            self.kept_step = self.saved_step
        else:
            state.take(self.best_before)
