"""What training made of the parameters, put together on rank 0 from what the ranks hold."""

from __future__ import annotations

import torch
from torch import distributed

from launcher.errors import Problem, WorkerError
from launcher.runs import pulse
from launcher.training.strategies.base import Strategy


def gather(strategy: Strategy) -> dict[str, torch.Tensor]:
    """The trained parameters by name, whole, on the CPU of rank 0; an empty dictionary on the other ranks.

    Bit by bit what the ranks hold. Raises WorkerError on every rank when an element is held by none or by two:
    a parameter that is empty or in part can never be saved.
    """
    prefix, world = "model.", strategy.world
    held = {piece.name: piece for piece in strategy.pieces() if piece.name.startswith(prefix)}
    whole: dict[str, torch.Tensor] = {}
    names = [(name, shape) for name, _, shape in strategy.trainable()]
    ranges = torch.zeros(len(names), world.size, 2, dtype=torch.int64)
    for number, (name, shape) in enumerate(names):
        pulse.tick("gathering")
        bits = torch.zeros(shape.numel(), dtype=torch.int32)
        piece = held.get(prefix + name)
        if piece is not None:
            stop = piece.start + piece.values.numel()
            # as integers: the sum with zeros is exact, of any bit pattern
            bits[piece.start : stop] = piece.values.detach().to("cpu", torch.float32).view(torch.int32)
            ranges[number, world.rank] = torch.tensor([piece.start, stop])
        if world.size > 1:
            distributed.reduce(bits, dst=0)
        if world.leads:
            whole[name] = bits.view(torch.float32).view(shape)
    held_ranges = world.total(ranges).tolist()
    wrong = [
        f"{name}: {sum(stop - start for start, stop in parts):,} of {shape.numel():,} elements, in {_shown(parts)}"
        for (name, shape), parts in zip(names, held_ranges, strict=True)
        if not _covers(parts, shape.numel())
    ]
    if wrong:
        raise WorkerError(Problem("the ranks do not hold the whole model once: " + "; ".join(wrong[:5])))
    return whole


def _covers(parts: list[list[int]], number: int) -> bool:
    """Whether the ranges `[start, stop)` are 0 to `number`, each element once."""
    reached = 0
    for start, stop in sorted(part for part in parts if part[0] < part[1]):
        if start != reached:
            return False
        reached = stop
    return reached == number


def _shown(parts: list[list[int]]) -> str:
    return ", ".join(f"{start:,}-{stop:,}" for start, stop in parts)
