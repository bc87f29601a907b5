"""`single` and `ddp`: every rank holds the whole model. Built through Accelerate.

Between CPU processes of one machine gradients are summed in shared memory, else by DistributedDataParallel.

Embedding tables are the exception. DDP would send the whole table's gradient (30,000 rows for a batch that
touches 500). Every rank knows the whole global batch, so all ranks know which rows can have a gradient:
only these are summed, measured and clipped (docs/decisions/004-embedding-rows.md).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import distributed, nn

from launcher.errors import Problem, WorkerError
from launcher.recipe.training import Training
from launcher.training.distributed.world import World
from launcher.training.model_parts.sparse_table import TrainedRows, sparse_table
from launcher.training.optimiser import STATE_KEYS, build_optimiser, state_shape
from launcher.training.strategies.base import Piece, Read, Strategy, restored
from launcher.training.strategies.shared_gradients import SharedGradients, sum_of_squares


class Replicated(Strategy):
    """One process, or several that average their gradients."""

    table: nn.Embedding | TrainedRows | None = None
    shared: SharedGradients | None = None

    def wrap(self, model: nn.Module, training: Training) -> None:
        """Through Accelerate: to the device, and into DistributedDataParallel where there are several ranks."""
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs

        alone = self.plan.strategy == "single"
        _forget_other_launchers(alone)
        self.accelerator = Accelerator(
            cpu=self.plan.device == "cpu",
            mixed_precision="no",  # `logits` does it, for every strategy alike
            kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True, broadcast_buffers=False)],
        )
        self.model = model.to(self.world.device)
        table = sparse_table(model) if self.rows_alone else None
        if table is not None:
            name, self.table = table
            ours = [f"{name}.{inner}" for inner in ("weight", "rest.weight", "row_of", "named")]
            nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, ours)
        self.optimiser = build_optimiser(self.model, training)
        self.clip = training.clip_norm
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        # where the loss is scaled every rank unscales the whole gradient, and in shared memory it has its part only
        if self.world.size > 1 and self.world.on_one_machine and self.plan.device == "cpu" and not self.scale.on:
            _refuse_different_weights(self.model, self.world)
            self.shared = SharedGradients.open(self.world, [p for p in self.parameters if not self._in_table(p)])
        self.outer: nn.Module = self.model if self.shared else self.accelerator.prepare_model(self.model)

    @property
    def wrapped(self) -> nn.Module:
        """DistributedDataParallel, or the model itself."""
        return self.outer

    def micro_batch(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Gradients are summed over ranks with the last one."""
        if last or not isinstance(self.outer, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        return self.outer.no_sync()

    def backward(self, loss: torch.Tensor, penalty: torch.Tensor | None = None) -> None:
        """DDP averages; the sum is what is wanted. Each rank adds its part of the penalty."""
        loss = loss if penalty is None else loss + penalty / self.world.size
        self.scale.backward(loss if self.shared else loss * self.world.size)

    def update(
        self, tokens: Callable[[], np.ndarray], after: Callable[[nn.Module], None] | None = None
    ) -> torch.Tensor:
        """The touched rows of the table, clip, step, clear."""
        gradients = [p.grad for p in self.parameters if p.grad is not None and not self._in_table(p)]
        gradients = self.shared.sum() if self.shared else gradients
        rows, parts = None, []
        if self.table is not None:
            rows, part = self._touched_rows(self.table, tokens())
            parts = [part]
        if self.scale.on:
            parts = self._unscaled(rows, parts)
        norm = self._norm(gradients, parts)
        if self.clip is not None and gradients + parts:
            # as torch's clip_grad_norm_ does it
            torch._foreach_mul_(gradients + parts, (self.clip / (norm + 1e-6)).clamp(max=1.0))
        if self.shared:
            self.shared.publish()
        if self.table is not None and self.table.weight.grad is not None and rows is not None:
            self.table.weight.grad.index_copy_(0, rows, parts[0])
        self.scale.step(self.optimiser, norm)
        if after is not None and not (self.scale.on and not norm.isfinite()):
            after(self.model)
        self.optimiser.zero_grad(set_to_none=True)
        return norm

    def pieces(self) -> Iterator[Piece]:
        """All ranks hold the same: each gives its equal part of every tensor."""
        rank, size = self.world.rank, self.world.size
        for name, parameter, _ in self.trainable():
            values = {f"model.{name}": parameter.detach()}
            for key, value in self.optimiser.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor):
                    values[f"optimizer.{name}.{key}"] = value
            for key, value in values.items():
                flat, number = value.reshape(-1), value.numel()
                start, stop = number * rank // size, number * (rank + 1) // size
                if stop > start:
                    yield Piece(key, tuple(value.shape), start, flat[start:stop])

    @torch.no_grad()
    def restore(self, read: Read, optimiser: bool) -> None:
        """Whole tensors, on every rank."""
        for name, parameter, shape in self.trainable():
            parameter.copy_(restored(read, name, 0, shape.numel()).view(shape))
            if optimiser:
                self.optimiser.state[parameter] = _state(read, name, parameter)

    def gradients(self) -> Iterator[torch.Tensor]:
        """Those of the parameters."""
        return (p.grad for p in self.parameters if p.grad is not None)

    def about(self) -> dict[str, Any]:
        """Accelerate's own word for what it did."""
        return {
            "distributed_type": str(self.accelerator.distributed_type.value),
            "embedding_rows_by_themselves": self.table is not None,
            "gradients_in_shared_memory": self.shared is not None,
            "compiled": self.model._compiled_call_impl is not None,
        }

    def _in_table(self, parameter: nn.Parameter) -> bool:
        return self.table is not None and parameter is self.table.weight

    def _norm(self, gradients: list[torch.Tensor], parts: list[torch.Tensor]) -> torch.Tensor:
        """Over all gradients. Where they are shared each rank knows only its own, and all know the table's `parts`.

        On CPUs the bits do not depend on how many ranks share them, so neither do those of the clipped gradients.
        """
        if self.world.device.type != "cpu":
            return nn.utils.get_total_norm(gradients + parts)
        if not self.shared:
            return sum_of_squares(gradients + parts).sqrt().float()
        own = sum_of_squares(gradients + (parts if self.world.leads else []))
        return self.world.total(own).sqrt().float()

    def _unscaled(self, rows: torch.Tensor | None, parts: list[torch.Tensor]) -> list[torch.Tensor]:
        """Unscale all gradients; `parts`, the table's touched rows, are put into its gradient and taken out again."""
        gradient = None if self.table is None else self.table.weight.grad
        if gradient is not None and rows is not None:
            gradient.index_copy_(0, rows, parts[0])
        self.scale.unscale(self.optimiser)
        return parts if gradient is None or rows is None else [gradient.index_select(0, rows)]

    def _touched_rows(self, table: nn.Embedding | TrainedRows, tokens: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """The table's rows of these token ids (int64, the whole global batch's), and their gradient over all ranks.

        No other row can have one.
        """
        weight = table.weight
        rows = torch.from_numpy(tokens).to(self.world.device)
        if isinstance(table, TrainedRows):
            rows = table.rows_of(rows)
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        part = weight.grad.index_select(0, rows)
        if self.world.size > 1:
            distributed.all_reduce(part)
            part.div_(1 if self.shared else self.world.size)  # as `backward` weighed it
        return rows, part


def _state(read: Read, name: str, parameter: torch.Tensor) -> dict[str, Any]:
    """One parameter's optimiser state as the checkpoint has it."""
    state: dict[str, Any] = {}
    for key in STATE_KEYS:
        shape = state_shape(key, parameter.shape)
        values = read(f"optimizer.{name}.{key}", 0, shape.numel())
        if values is not None:
            # torch keeps `step` on the host unless the optimiser is fused
            state[key] = values.view(shape).to(parameter.device)
    return state


def _refuse_different_weights(model: nn.Module, world: World) -> None:
    """DistributedDataParallel would send rank 0's weights to all; here they must be the same from the start."""
    sums = torch.tensor([float(p.detach().double().sum()) for p in model.parameters()], dtype=torch.float64)
    least, most = -world.largest(-sums.numpy()), world.largest(sums.clone().numpy())
    if not np.array_equal(least, most):
        names = [name for name, _ in model.named_parameters()]
        differ = [name for name, low, high in zip(names, least, most, strict=True) if low != high]
        what = f"the ranks start from different weights: {', '.join(differ[:3])}"
        do = "initial weights must depend on nothing but the recipe and its seed"
        raise WorkerError(Problem(what, f"rank {world.rank}", do))


def _forget_other_launchers(alone: bool) -> None:
    """The plan is the only source: what another launcher left in the environment must not steer Accelerate.

    A process alone must not show a rank either, or Accelerate looks for others.
    """
    ranks = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE") if alone else ()
    for name in [name for name in os.environ if name.startswith(("ACCELERATE_", "FSDP_")) or name in ranks]:
        del os.environ[name]
