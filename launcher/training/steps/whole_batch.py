"""A loss of the whole global batch, whose rows are compared with each other: outputs first, gradients from a cache.

Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (arXiv 2101.06983). The
outputs of all micro-batches of all ranks are put together, the loss is computed of them once (by every rank alike), and
its gradient with respect to a rank's own outputs is what its backward passes go on from. So the loss is the same at any
number of processes and any micro-batch, up to rounding, and only a micro-batch's activations are held at a time.

Where a rank's share is several micro-batches each is computed twice, the first time without gradients, with the same
neurons dropped. One that is all of the share is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from launcher.runs import pulse
from launcher.training.batches.order import MicroBatch
from launcher.training.batches.rows import Step
from launcher.training.distributed.world import World
from launcher.training.model_parts.outputs import Tensors
from launcher.training.steps.shape import Forward, StepShape
from launcher.training.tasks.base import TaskWork
from launcher.training.tasks.collate import Batch


@dataclass
class Part:
    """A micro-batch of the step that is computed now."""

    micro_batch: MicroBatch
    places: np.ndarray
    """Of its outputs among those of the whole batch."""
    generators: tuple[torch.Tensor, ...] = ()
    """As they were before its first forward pass."""
    outputs: Tensors = field(default_factory=dict)
    """Without gradients."""


class WholeBatch(StepShape):
    """See `StepShape`."""

    turns = 1

    def __init__(self, world: World):
        self.world = world
        self.cached: Iterator[Part] = iter(())
        """The parts whose backward pass is still to come."""
        self.losses_of_all: dict[str, tuple[torch.Tensor, Tensors]] = {}
        """Of the whole batch, with their gradients with respect to its outputs."""

    def begin(self, work: TaskWork, forward: Forward, step: Step, make: Callable[[MicroBatch], Batch]) -> None:
        """Compute what the losses are of, but for a single part, whose outputs are computed with their gradients."""
        wanted = work.wanted_of(step.split, step.rows)
        self.wanted = {name: torch.from_numpy(values).to(self.world.device) for name, values in wanted.items()}
        self.rows = len(step.rows)
        self.count = len(work.outputs_among(step.split, step.rows, step.rows))
        parts = [Part(one, work.outputs_among(step.split, step.rows, one.rows)) for one in step.parts]
        self.cached, self.losses_of_all = iter(parts), {}
        if len(parts) > 1:
            for part in parts:
                part.generators = _generators(self.world.device)
                with torch.no_grad():
                    part.outputs = forward(make(part.micro_batch).inputs)
                pulse.tick()
            self._settle(work, parts)

    def losses(self, work: TaskWork, forward: Forward, batch: Batch, turn: int = 0) -> dict[str, torch.Tensor]:
        """The share that these rows have in the losses of the whole batch, with the gradients of the whole."""
        part = next(self.cached)
        if part.generators:
            _put_back(part.generators, self.world.device)
        outputs = forward(batch.inputs)
        if not part.generators:
            part.outputs = {name: values.detach() for name, values in outputs.items()}
            self._settle(work, [part])
        places = torch.from_numpy(part.places).to(self.world.device)
        shares = {}
        for name, (whole, gradients) in self.losses_of_all.items():
            products = [(outputs[one] * gradients[one][places]).sum() for one in gradients]
            product = sum(products[1:], products[0])
            shares[name] = product - product.detach() + whole * len(part.micro_batch.rows) / self.rows
        return shares

    def _settle(self, work: TaskWork, parts: list[Part]) -> None:
        """Compute each loss of the whole batch, and its gradients with respect to the outputs."""
        outputs = {name: self._of_all(name, parts).requires_grad_() for name in parts[0].outputs}
        with torch.enable_grad():
            losses = work.loss(outputs, self.wanted)
        for name, loss in losses.items():
            gradients = torch.autograd.grad(loss, list(outputs.values()), retain_graph=True)
            self.losses_of_all[name] = loss.detach(), dict(zip(outputs, gradients, strict=True))

    def _of_all(self, name: str, parts: list[Part]) -> torch.Tensor:
        """The outputs of this name of all ranks' parts: each place is filled by one of them."""
        like = parts[0].outputs[name]
        values = like.new_zeros((self.count, *like.shape[1:]))
        for part in parts:
            if part.micro_batch.counts:
                values[torch.from_numpy(part.places).to(like.device)] = part.outputs[name]
        return self.world.total(values)


def _generators(device: torch.device) -> tuple[torch.Tensor, ...]:
    """The states of the generators that dropout draws from."""
    own = (torch.cuda.get_rng_state(device),) if device.type == "cuda" else ()
    return torch.get_rng_state(), *own


def _put_back(states: tuple[torch.Tensor, ...], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)
