"""FGM: a model should answer the same where its embedded input is moved a little, in the direction that hurts most.

Miyato, Dai and Goodfellow 2017, "Adversarial Training Methods for Semi-Supervised Text Classification" (arXiv
1605.07725). Each row's embedded input is moved by r = epsilon * g / ||g||, where g is the gradient of the row's loss;
the norm is the row's own, so that r does not depend on the other rows, on micro-batches or on how many ranks there are.
Theirs normalises the embeddings first, so that epsilon has one meaning; a pretrained table is left as it is here.

The loss is half of theirs, so that it compares with the loss without it: the mean of the clean and the adversarial one.
Both passes are like two micro-batches of the same rows: the first one's backward pass gives g, gradients are summed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from launcher.errors import Problem, WorkerError
from launcher.training.model_parts.outputs import Tensors
from launcher.training.model_parts.sparse_table import base_of
from launcher.training.steps.shape import Forward, StepShape
from launcher.training.tasks.base import TaskWork
from launcher.training.tasks.collate import Batch

TURNED = frozenset({"xlnet"})
"""Families that embed [tokens, rows]."""
TINY = 1e-30
"""A row whose gradient is smaller has no direction, and is not moved."""


class FGM(StepShape):
    """See `StepShape`. `inner` is what each of the two passes computes; `model` what trains."""

    turns = 2

    def __init__(self, epsilon: float, inner: StepShape, model: nn.Module):
        self.epsilon, self.inner = epsilon, inner
        self.seen: Callable[[torch.Tensor], torch.Tensor] | None = None
        """What is done with the embedded input of the forward pass that runs now."""
        self.gradients: list[torch.Tensor | None] = []
        """Of each call of an embedding layer, [rows, tokens, width]: an encoder and a decoder have one each."""
        self.mask: torch.Tensor | None = None
        self.turned = getattr(getattr(base_of(model), "config", None), "model_type", "") in TURNED
        for layer in embeddings(model):
            layer.register_forward_hook(self._embedded)

    def losses(self, work: TaskWork, forward: Forward, batch: Batch, turn: int = 0) -> dict[str, torch.Tensor]:
        """Half of the clean loss, and in the second turn half of the adversarial one."""
        moves = iter(self._moves()) if turn else None
        if moves is None:
            self.gradients = []

        def seen(values: torch.Tensor) -> torch.Tensor:
            return values + next(moves) if moves is not None else self._watched(values)

        def watching(inputs: Tensors) -> Tensors:
            self.mask, self.rows = inputs.get("attention_mask"), len(next(iter(inputs.values())))
            self.seen = seen
            try:
                return forward(inputs)
            finally:
                self.seen = None

        return {name: loss / 2 for name, loss in self.inner.losses(work, watching, batch).items()}

    def _embedded(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
        if self.seen is None:
            return None
        return self.seen(output.transpose(0, 1)).transpose(0, 1) if self.turned else self.seen(output)

    def _watched(self, values: torch.Tensor) -> torch.Tensor:
        """The same, of which the backward pass leaves the gradient."""
        if len(values) != self.rows:
            what = f"FGM moves embedded rows, and this model embeds {self.rows} rows as a tensor {list(values.shape)}"
            raise WorkerError(Problem(what, do="leave training.fgm out"))
        if not values.requires_grad:  # a table that is frozen; some models scale what it gives in place
            values = values.requires_grad_().clone()
        number = len(self.gradients)
        self.gradients.append(None)

        def keep(gradient: torch.Tensor) -> None:
            self.gradients[number] = gradient

        values.register_hook(keep)
        return values

    @torch.no_grad()
    def _moves(self) -> list[torch.Tensor]:
        """For each call of the embedding layer what is added to what it gives."""
        gradients = [_without_padding(one, self.mask) for one in self.gradients if one is not None]
        self.gradients = []
        if not gradients:
            what = "FGM found no gradient of the embedded input: the model does not call its input embedding layer"
            raise WorkerError(Problem(what, do="leave training.fgm out"))
        squares = torch.stack([one.double().square().sum((1, 2)) for one in gradients]).sum(0)
        scale = torch.where(squares > TINY, self.epsilon * squares.rsqrt(), torch.zeros_like(squares))
        scale = scale.nan_to_num(0.0, 0.0, 0.0).float()[:, None, None]  # of a step whose scaled loss overflowed
        return [(one * scale).nan_to_num(0.0, 0.0, 0.0) for one in gradients]


def embeddings(model: nn.Module) -> list[nn.Module]:
    """The layers that embed what the model reads: encoder and decoder may have one each, of the same weights.

    Raises WorkerError where there is none.
    """
    try:
        layer = base_of(model).get_input_embeddings()
    except NotImplementedError:
        layer = None
    if not isinstance(layer, nn.Module):
        what = f"{type(base_of(model)).__name__} names no input embedding layer, whose output FGM moves"
        raise WorkerError(Problem(what, do="leave training.fgm out"))
    weight = getattr(layer, "weight", None)
    tied = [m for m in model.modules() if m is not layer and isinstance(m, nn.Embedding) and m.weight is weight]
    return [layer, *tied]


def as_planned(model: nn.Module) -> None:
    """Have a model that is only traced hold what FGM holds: the moves, and a gradient for what is embedded."""
    held: dict[nn.Module, torch.Tensor] = {}

    def moved(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
        held.pop(module, None)
        if not torch.is_grad_enabled():
            return None
        if not output.requires_grad:
            output.requires_grad_()
        held[module] = torch.zeros_like(output, requires_grad=False)
        return output + held[module]

    for layer in embeddings(model):
        layer.register_forward_hook(moved)


def _without_padding(gradient: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Some models lengthen rows by themselves: what they add is padding too."""
    if mask is None:
        return gradient
    width = gradient.shape[1]
    mask = nn.functional.pad(mask, (0, max(0, width - mask.shape[1])))[:, :width]
    return gradient * mask.unsqueeze(-1)
