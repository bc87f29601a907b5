"""Elastic weight consolidation (Kirkpatrick et al. 2017, arXiv 1612.00796), around whatever method trains.

A quadratic penalty holds each weight near what the earlier run left it at, the more the more that run's rows depend on
it: 1/2 weight x sum F (w - w0)^2, where F is the diagonal of the (empirical) Fisher information, the mean over rows of
the squared gradient of a row's own loss. F and w0 are computed anew at each start, of the model before any step, and
held whole on every rank: two copies of what trains. Rows for labels that the earlier run had not are free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from launcher.runs import pulse
from launcher.training.batches.split import Split
from launcher.training.distributed.world import World
from launcher.training.methods import MethodWork
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.tasks.collate import Batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Consolidated(MethodWork):
    """A method with the penalty besides its own."""

    def __init__(self, method: MethodWork, weight: float):
        self.method, self.weight = method, weight
        self.before: dict[str, Tensor] = {}
        self.fisher: dict[str, Tensor] = {}

    def remember(self, model: nn.Module, rows: Split, batches: Batches, world: World, labels: tuple[int, int]) -> None:
        """Take the weights as they are, and the Fisher information over these rows. All ranks, each its share.

        `labels`: how many the earlier run had, and how many there are.
        """
        device = world.device
        trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.before = {name: value.detach().to(device, copy=True) for name, value in trained.items()}
        sums = {name: torch.zeros_like(value, dtype=torch.float32) for name, value in self.before.items()}
        training = model.training
        model.to(device).eval()
        for row in range(world.rank, rows.rows, world.size):
            pulse.tick("weighing what was learnt")
            batch = batches(rows, np.array([row]))
            losses = batches.work.loss(outputs_of(model, batch.inputs, batches.work.outputs), batch.wanted)
            loss = torch.stack(list(losses.values())).sum()
            gradients = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
            for name, gradient in zip(trained, gradients, strict=True):
                if gradient is not None:
                    sums[name] += gradient.detach().float().square()
        model.train(training)
        model.to("cpu")
        for name, values in sums.items():
            self.fisher[name] = world.total(values) / max(1, rows.rows)
            _free_new_labels(self.fisher[name], *labels)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Both penalties."""
        own, held = self.method.penalty(model), torch.zeros((), device=next(iter(self.fisher.values())).device)
        for name, value in model.named_parameters():
            if name in self.fisher:
                held = held + (self.fisher[name] * (value.float() - self.before[name]).square()).sum()
        held = held * (self.weight / 2)
        return held if own is None else held + own

    def apply(self, model: PreTrainedModel, new_modules: Sequence[str]) -> nn.Module:
        """The method's."""
        return self.method.apply(model, new_modules)

    def save(self, model: nn.Module, folder: Path) -> None:
        """The method's."""
        self.method.save(model, folder)

    def load_saved(self, model: PreTrainedModel, new_modules: Sequence[str], folder: Path) -> nn.Module:
        """The method's."""
        return self.method.load_saved(model, new_modules, folder)

    @property
    def acts_after_steps(self) -> bool:
        """Where the method does: the penalty is all that is added to it."""
        return self.method.acts_after_steps

    def begin(self, model: nn.Module, steps: int) -> None:
        """The method's."""
        self.method.begin(model, steps)

    def after_step(self, model: nn.Module, step: int) -> None:
        """The method's."""
        self.method.after_step(model, step)

    def state(self, model: nn.Module) -> Mapping[str, Tensor]:
        """The method's: what is remembered is computed anew."""
        return self.method.state(model)

    def restore(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """The method's."""
        self.method.restore(model, state)


def remembering(method: MethodWork, weight: float) -> MethodWork:
    """The method, with elastic weight consolidation around it where it has a weight."""
    return Consolidated(method, weight) if weight else method


def _free_new_labels(fisher: Tensor, before: int, now: int) -> None:
    """Nothing holds the rows of labels that are new."""
    if now > before:
        for dimension, size in enumerate(fisher.shape):
            if size == now:
                fisher.narrow(dimension, before, now - before).zero_()
