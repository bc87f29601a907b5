"""The interface of every strategy: how a model is spread over the ranks, stepped, and what each rank holds of it.

All strategies compute with fp32 weights (autocast where the plan says so), average gradients over the ranks,
and name their state alike: flat ranges of the model's own parameters (`Piece`). So checkpoints, saving and
proofs know nothing of a strategy.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from launcher.errors import Problem, WorkerError
from launcher.host.cgroups import available_memory
from launcher.plan.plan import Plan
from launcher.recipe.training import Training
from launcher.training.distributed.world import World
from launcher.training.model_parts.generate import generate
from launcher.training.model_parts.outputs import Tensors, outputs_of
from launcher.training.precision import LossScale, computing_in

Read = Callable[[str, int, int], torch.Tensor | None]
"""`(name, start, stop)` -> those elements of a named tensor, flat; None where there is no such tensor."""


@dataclass(frozen=True)
class Piece:
    """Elements `start` to `start + len(values)` of a named tensor, flat: a part that only this rank saves.

    Names are `model.PARAMETER` and `optimizer.PARAMETER.KEY`.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    values: torch.Tensor


class Strategy(ABC):
    """One run's model and optimiser, spread as the plan says."""

    model: nn.Module
    """The model itself: the names of its parameters are the checkpoint's."""
    optimiser: torch.optim.Optimizer
    """Torch's own; its groups are the ones that the schedule changes."""
    rows_alone = True
    """Whether of a table of tokens only the rows that a batch names may have a gradient; not under every method."""
    master_copies = 0
    """Copies of this rank's share of the weights that are kept with the optimiser."""

    def __init__(self, plan: Plan, world: World):
        self.plan, self.world = plan, world
        self.scale = LossScale(plan.precision, world.device)

    @abstractmethod
    def wrap(self, model: nn.Module, training: Training) -> None:
        """Spread the model, build its optimiser."""

    @property
    @abstractmethod
    def wrapped(self) -> nn.Module:
        """What is called in a forward pass."""

    def penalty(self, ask: Callable[[nn.Module], torch.Tensor | None]) -> torch.Tensor | None:
        """The result of `ask` for the model with all that trains whole; the same on every rank."""
        return ask(self.model)

    @abstractmethod
    def backward(self, loss: torch.Tensor, penalty: torch.Tensor | None = None) -> None:
        """Add the gradients of this rank's part of the loss; their sum over all ranks is what is stepped with.

        Those of `penalty`, which every rank has whole, count once.
        """

    @abstractmethod
    def update(
        self, tokens: Callable[[], np.ndarray], after: Callable[[nn.Module], None] | None = None
    ) -> torch.Tensor | float:
        """Clip, step, clear the gradients; the gradient's norm before clipping. Does not advance the schedule.

        `tokens` gives the distinct token ids of the whole global batch. `after` is called with the model between
        the step, where one was made, and the clearing.
        """

    @abstractmethod
    def pieces(self) -> Iterator[Piece]:
        """All that training changes; over all ranks every element exactly once. Views: copy what is to last."""

    @abstractmethod
    def restore(self, read: Read, optimiser: bool) -> None:
        """Put back what `pieces` gave, on any number of ranks. Raises WorkerError where a parameter is missing."""

    @abstractmethod
    def gradients(self) -> Iterator[torch.Tensor]:
        """The gradient tensors that this rank holds between backward and step."""

    def optimiser_tensors(self) -> Iterator[torch.Tensor]:
        """All that this rank holds to step with, besides weights and gradients."""
        for about in self.optimiser.state.values():
            yield from (value for value in about.values() if isinstance(value, torch.Tensor))

    def micro_batch(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Around one micro-batch: gradients need to travel with the last one only."""
        return contextlib.nullcontext()

    def outputs(self, inputs: Tensors, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """The model's outputs of these names, fp32, computed in the plan's precision.

        Every rank must call it equally often.
        """
        with computing_in(self.plan.precision, self.world.device.type):
            return outputs_of(self.wrapped, inputs, names)

    def generate(self, inputs: Tensors, words: Mapping[str, Any], numbers: Sequence[int]) -> torch.Tensor:
        """The tokens that the model writes for each row, int64 [rows, most of them]: see `model_parts.generate`.

        The model's mode is as before afterwards. Every rank must call it equally often; how long each writes does not
        matter.
        """
        with computing_in(self.plan.precision, self.world.device.type), self.for_many_passes():
            return generate(self.model, inputs, words, numbers, synced=self.synced)

    @property
    def synced(self) -> bool:
        """Whether a forward pass needs all ranks, so that each computes as long as any other does."""
        return False

    def for_many_passes(self) -> contextlib.AbstractContextManager[None]:
        """Around many forward passes with the same weights, one after another."""
        return contextlib.nullcontext()

    def whole_fits(self) -> bool:
        """Whether every rank has room for the whole model besides what it holds, and as much again."""
        whole = sum(whole_shape(p).numel() * p.element_size() for p in self.model.parameters())
        if self.world.device.type == "cuda":
            free = torch.cuda.mem_get_info(self.world.device)[0]
        else:
            free = available_memory() // int(os.environ.get("LOCAL_WORLD_SIZE", self.world.size))
        return int(self.world.largest(np.array([free < 2 * whole], dtype=np.int32))[0]) == 0

    def trainable(self) -> Iterator[tuple[str, nn.Parameter, torch.Size]]:
        """Name, parameter and whole shape of all that trains."""
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                yield name, parameter, whole_shape(parameter)

    def about(self) -> dict[str, Any]:
        """What the outcome records of this strategy besides what every run records."""
        return {}


def whole_shape(parameter: torch.Tensor) -> torch.Size:
    """The shape of the whole tensor, however it is sharded."""
    return torch.Size(getattr(parameter, "ds_shape", parameter.shape))


def restored(read: Read, name: str, start: int, stop: int) -> torch.Tensor:
    """These elements of `model.NAME`. Raises WorkerError when the state has no such tensor."""
    values = read(f"model.{name}", start, stop)
    if values is None:
        raise WorkerError(Problem(f"the checkpoint holds nothing for {name}"))
    return values
