"""Ranks that have just met: do their numbers reach each other, and how fast?"""

from __future__ import annotations

import time

import torch

from launcher.errors import Problem, WorkerError
from launcher.training.distributed.world import World

SMALL, LARGE = 1, 1 << 20
"""Floats: what a vote takes, and about what a bucket of gradients does."""
TIMES = 3


def measured(world: World) -> str:
    """A line with the time of a small and the bandwidth of a large all-reduce. Raises WorkerError for a wrong sum."""
    small, large = _seconds(world, SMALL), _seconds(world, LARGE)
    rate, megabytes = LARGE * 4 / large / 1e6, LARGE * 4 / 1e6
    return f"all-reduce of {world.size} processes in {small * 1000:.2f} ms, {rate:.0f} MB/s at {megabytes:.0f} MB"


def _seconds(world: World, floats: int) -> float:
    """The best of a few: the first one opens the connections."""
    best = float("inf")
    for _ in range(1 + TIMES):
        values = torch.full((floats,), float(world.rank + 1), device=world.device)
        began = time.perf_counter()
        summed = float(world.total(values)[-1].item())  # waits for a GPU too
        best = min(best, time.perf_counter() - began)
        right = world.size * (world.size + 1) / 2
        if summed != right:
            what = f"an all-reduce gave {summed:g} where the sum is {right:g}"
            do = "the network or its library is broken"
            raise WorkerError(Problem(what, f"rank {world.rank}", do))
    return best
