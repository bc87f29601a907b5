"""How the model is spread over the ranks: one class a library, checked to be really in force.

    strategy = build(plan, world); strategy.wrap(model, training); verify(strategy)

The one `match` over strategies in the heavy wing.
"""

from __future__ import annotations

from typing import assert_never

from launcher.plan.placement import SHARDED, StrategyName
from launcher.plan.plan import Plan
from launcher.training.distributed.world import World
from launcher.training.strategies.base import Piece, Read, Strategy
from launcher.training.strategies.gather import gather
from launcher.training.strategies.verification import gradient_bytes, in_force, verify, verify_stepped

__all__ = [
    "SHARDED",
    "Piece",
    "Read",
    "Strategy",
    "build",
    "gather",
    "gradient_bytes",
    "in_force",
    "verify",
    "verify_stepped",
]


def build(plan: Plan, world: World) -> Strategy:
    """The strategy that the plan promises. Each library is imported only by the strategy that needs it."""
    name: StrategyName = plan.strategy
    match name:
        case "single" | "ddp":
            from launcher.training.strategies.ddp import Replicated

            return Replicated(plan, world)
        case "fsdp2":
            from launcher.training.strategies.fsdp2 import FullyShardedDataParallel

            return FullyShardedDataParallel(plan, world)
        case "zero1" | "zero2" | "zero3" | "zero3_offload":
            from launcher.training.strategies.zero import ZeRO

            return ZeRO(plan, world)
        case _:
            assert_never(name)
