"""Learning without forgetting: the answers of the earlier run's model to the new rows are held on to.

Li and Hoiem 2016, "Learning without Forgetting" (arXiv 1606.09282). To the loss of each row is added how far its answer
lies from that of the model as it was before any step, over the labels that this one knew, both softened by a
temperature of 2. The distance is the task's own (`TaskWork.divergence`): the mean of both Kullback-Leibler divergences,
where the paper has one of them; times the temperature squared, as Hinton et al. 2015 do. That model is held whole on
every rank and answers without dropout.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from launcher.training.distributed.world import World
from launcher.training.model_parts.outputs import Tensors, outputs_of
from launcher.training.precision import computing_in
from launcher.training.steps.shape import Forward, StepShape
from launcher.training.tasks.base import TaskWork
from launcher.training.tasks.collate import Batch

TEMPERATURE = 2.0


@dataclass(frozen=True)
class LwF(StepShape):
    """See `StepShape`. The distance is added to the first of the task's losses with this weight."""

    weight: float
    before: Forward
    """What the earlier model answers; without gradients."""
    labels: tuple[int, int]
    """How many labels that model knew, and how many there are."""

    @classmethod
    def of(cls, weight: float, model: nn.Module, world: World, precision: str, work: TaskWork, known: int) -> LwF:
        """With this model as it is now, which knew `known` labels."""
        model.to(world.device).eval().requires_grad_(False)

        def before(inputs: Tensors) -> Tensors:
            with computing_in(precision, world.device.type):
                return outputs_of(model, inputs, work.outputs)

        return cls(weight, before, (known, len(work.labels)))

    def losses(self, work: TaskWork, forward: Forward, batch: Batch, turn: int = 0) -> dict[str, torch.Tensor]:
        """The task's own, and what lies between the two answers."""
        outputs = forward(batch.inputs)
        losses = work.loss(outputs, batch.wanted)
        with torch.no_grad():
            then = self.before(batch.inputs)
        main = next(iter(losses))
        apart = work.divergence(self._softened(then), self._softened(outputs), batch.wanted)
        losses[main] = losses[main] + self.weight * TEMPERATURE**2 * apart
        return losses

    def _softened(self, outputs: Tensors) -> dict[str, torch.Tensor]:
        """Logits by the temperature, of the labels that were known; other outputs as they are."""
        known, now = self.labels
        softened = dict(outputs)
        for name, values in outputs.items():
            if name.endswith("logits"):
                old = values[..., :known] if known < now == values.shape[-1] else values
                softened[name] = old / TEMPERATURE
        return softened
