"""Checks of strategies: what the plan promised is what this rank holds, or no batch is computed.

The measure knows nothing of the classes that wrap: it looks at tensors. A strategy that fell back to holding
everything is seen by its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import distributed, nn

from launcher.errors import PlanError, Problem
from launcher.plan.placement import SHARDED
from launcher.training.strategies.base import Strategy, whole_shape

ALIGNMENT = 4096
"""Bytes that flat groups are padded by, at most."""


def in_force(strategy: Strategy) -> dict[str, Any]:
    """What really runs, for the outcome: wrapper class, world size, bytes of weights held and how many are sharded."""
    parameters = list(strategy.model.parameters())
    whole = sum(whole_shape(p).numel() * p.element_size() for p in parameters)
    return {
        "name": strategy.plan.strategy,
        "wrapper": type(strategy.wrapped).__name__,
        "world_size": strategy.world.size,
        "sharded_tensors": sum(held(p).numel() < whole_shape(p).numel() for p in parameters),
        "tensors": len(parameters),
        "whole_parameter_bytes": whole,
        **strategy.about(),
    }


def verify(strategy: Strategy) -> dict[str, int]:
    """Bytes of weights that this rank holds. Raises PlanError where something else runs than was promised."""
    plan, world = strategy.plan, strategy.world
    got = {
        "environment": world.size,
        "process group": distributed.get_world_size() if distributed.is_initialized() else 1,
    }
    wrong = [f"{name} has {size}" for name, size in got.items() if size != plan.world_size]
    is_ddp = isinstance(strategy.wrapped, nn.parallel.DistributedDataParallel)
    summed = is_ddp or strategy.about().get("gradients_in_shared_memory", False)
    if plan.strategy == "ddp" and plan.world_size > 1 and not summed:
        wrong.append(f"the model is a bare {type(strategy.wrapped).__name__}")
    if plan.strategy == "single" and is_ddp:
        wrong.append("the model is wrapped for several processes")
    parameters = list(strategy.model.parameters())
    held_bytes = _bytes(held(p) for p in parameters)
    wrong += _too_much(strategy, "parameters", held_bytes, parameters)
    _refuse(strategy, wrong)
    return {"parameters": held_bytes}


def verify_stepped(strategy: Strategy, gradients: int) -> dict[str, int]:
    """Bytes of gradients and optimiser state after the first step. Raises PlanError where they are not sharded.

    `gradients` is the most that `gradient_bytes` said before the step.
    """
    trained = [p for p in strategy.model.parameters() if p.requires_grad]
    state = [held(tensor) for tensor in strategy.optimiser_tensors()]
    kinds = len({key for about in strategy.optimiser.state.values() for key, value in about.items() if _wide(value)})
    wrong = _too_much(strategy, "gradients", gradients, trained)
    wrong += _too_much(strategy, "optimizer", _bytes(state), trained * (kinds + strategy.master_copies))
    _refuse(strategy, wrong)
    return {"gradients": gradients, "optimizer": _bytes(state)}


def gradient_bytes(strategy: Strategy) -> int:
    """Bytes of gradients that this rank holds; called between backward and step."""
    return _bytes(strategy.gradients())


def held(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a tensor that is in this rank's memory."""
    if hasattr(tensor, "ds_tensor"):
        part: torch.Tensor = tensor.ds_tensor
        return part
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _wide(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 0


def _too_much(strategy: Strategy, kind: str, got: int, tensors: list[Any]) -> list[str]:
    """A complaint where more is held than this rank's part: of each tensor an equal number of rows, rounded up."""
    size = strategy.world.size
    if kind not in SHARDED[strategy.plan.strategy] or size == 1:
        return []
    allowed = ALIGNMENT
    for tensor in tensors:
        shape = whole_shape(tensor)
        rows = max(1, shape[0] if shape else 1)
        allowed += -(-rows // size) * (shape.numel() // rows) * tensor.element_size()
    if got <= allowed:
        return []
    return [f"this rank holds {got:,} bytes of {kind}, more than its part of {allowed:,}"]


def _refuse(strategy: Strategy, wrong: list[str]) -> None:
    if wrong:
        plan = strategy.plan
        raise PlanError(
            Problem(
                f"the plan promised {plan.strategy} on {plan.world_size} processes, but " + ", ".join(wrong),
                f"rank {strategy.world.rank}",
                "start the run with `launcher run`, or type the line that --dry-run prints",
            )
        )
