"""Where a run happens: what the user chose at launch. Plain facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StrategyName = Literal["single", "ddp", "fsdp2", "zero1", "zero2", "zero3", "zero3_offload"]
STRATEGIES: tuple[StrategyName, ...] = ("single", "ddp", "fsdp2", "zero1", "zero2", "zero3", "zero3_offload")
SHARDED: dict[StrategyName, tuple[str, ...]] = {
    "single": (),
    "ddp": (),
    "fsdp2": ("parameters", "gradients", "optimizer"),
    "zero1": ("optimizer",),
    "zero2": ("gradients", "optimizer"),
    "zero3": ("parameters", "gradients", "optimizer"),
    "zero3_offload": ("parameters", "gradients", "optimizer"),
}
"""Of what each rank holds its part only."""
DEVICES = ("auto", "cpu", "cuda")
HANG_SECONDS = 30.0
"""A rank that makes no progress for so long hangs, unless it is known to be slow (`launcher.runs.watchdog`)."""


@dataclass(frozen=True)
class Placement:
    """What the command line says about *where*; a recipe never does."""

    processes: int | None = None
    """On each node."""
    strategy: str = "auto"
    device: str = "auto"
    nodes: int = 1
    hang_seconds: float = HANG_SECONDS
    """Not where, but from the command line as well: how long a rank may stand still."""
