"""How the model is spread over the ranks: built through Accelerate, then checked to be really in force.

Embedding tables are the exception. DDP would send the whole table's gradient (30,000 rows for a batch that
touches 500). Every rank knows the whole global batch, so all ranks know which rows can have a gradient:
only these are summed, in one small collective (docs/decisions/004-embedding-rows.md).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import distributed, nn

from launcher.errors import PlanError, Problem
from launcher.plan import Plan
from launcher.training.tables import TrainedRows, sparse_table
from launcher.training.world import World


class Strategy:
    """One run's model, wrapped as the plan's strategy says."""

    def __init__(self, plan: Plan, world: World):
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs

        _forget_other_launchers(alone=plan.strategy == "single")
        self.plan, self.world = plan, world
        self.accelerator = Accelerator(
            cpu=plan.device == "cpu",
            mixed_precision="bf16" if plan.precision == "bf16" else "no",
            kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True, broadcast_buffers=False)],
        )
        self.table: nn.Module | None = None

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as the loop calls it. Raises PlanError if it is not what the plan promised."""
        model = model.to(self.world.device)
        found = sparse_table(model) if self.plan.strategy == "ddp" else None
        if found is not None:
            name, self.table = found
            ours = [f"{name}.{inner}" for inner in ("weight", "whole", "places", "named")]
            nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, ours)
        wrapped: nn.Module = self.accelerator.prepare_model(model)
        self._verify(wrapped)
        return wrapped

    def unwrap(self, wrapped: nn.Module) -> nn.Module:
        """The model itself, still computing in the plan's precision."""
        return wrapped.module if isinstance(wrapped, nn.parallel.DistributedDataParallel) else wrapped

    def bare(self, wrapped: nn.Module) -> nn.Module:
        """The model itself without anything that Accelerate added: what is saved."""
        model = self.unwrap(wrapped)
        # Accelerate hangs its autocast on the instance (its own unwrap_model imports DeepSpeed, two seconds)
        model.__dict__.pop("forward", None)
        return model

    @contextlib.contextmanager
    def gathering(self, wrapped: nn.Module, last: bool) -> Iterator[None]:
        """Around one micro-batch: gradients are summed over ranks with the last one only."""
        if last or not isinstance(wrapped, nn.parallel.DistributedDataParallel):
            yield
        else:
            with wrapped.no_sync():
                yield

    def sum_table(self, tokens: np.ndarray) -> None:
        """Average the gradient rows of these token ids (int64, the whole global batch's) over the ranks."""
        if self.table is None or self.world.size == 1:
            return
        weight = self.table.weight
        rows = torch.from_numpy(tokens).to(self.world.device)
        if isinstance(self.table, TrainedRows):
            rows = self.table.rows_of(rows)
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        part = weight.grad.index_select(0, rows)
        distributed.all_reduce(part)
        weight.grad.index_copy_(0, rows, part.div_(self.world.size))

    def _verify(self, wrapped: nn.Module) -> None:
        """Law 3: what the plan promised is what is here, or no batch is computed."""
        promised = self.plan.world_size
        got = {
            "environment": self.world.size,
            "process group": distributed.get_world_size() if distributed.is_initialized() else 1,
            "accelerate": self.accelerator.num_processes,
        }
        wrong = [f"{name} has {size}" for name, size in got.items() if size != promised]
        is_ddp = isinstance(wrapped, nn.parallel.DistributedDataParallel)
        if self.plan.strategy == "ddp" and promised > 1 and not is_ddp:
            wrong.append(f"the model is a bare {type(wrapped).__name__}")
        if self.plan.strategy == "single" and is_ddp:
            wrong.append("the model is wrapped for several processes")
        if wrong:
            raise PlanError(
                Problem(
                    f"the plan promised {self.plan.strategy} on {promised} processes, but " + ", ".join(wrong),
                    f"rank {self.world.rank}",
                    "start the run with `launcher run`, or type the line that --dry-run prints",
                )
            )

    def in_force(self, wrapped: nn.Module) -> dict[str, Any]:
        """What really runs, for the outcome: wrapper class and world size."""
        return {
            "name": self.plan.strategy,
            "wrapper": type(wrapped).__name__,
            "distributed_type": str(self.accelerator.distributed_type.value),
            "world_size": self.world.size,
            "embedding_rows_by_themselves": self.table is not None,
        }


def _forget_other_launchers(alone: bool) -> None:
    """The plan is the only source: what another launcher left in the environment must not steer Accelerate.

    A process alone must not show a rank either, or Accelerate looks for others.
    """
    ranks = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE") if alone else ()
    for name in [name for name in os.environ if name.startswith(("ACCELERATE_", "FSDP_")) or name in ranks]:
        del os.environ[name]
