"""What training made of the parameters, put together on rank 0 from what the ranks hold."""

from __future__ import annotations

import torch
from torch import distributed

from launcher.errors import Problem, WorkerError
from launcher.training.strategies.base import Strategy


def gather(strategy: Strategy) -> dict[str, torch.Tensor]:
    """The trained parameters by name, whole, on the CPU of rank 0; an empty dictionary on the other ranks.

    Bit by bit what the ranks hold. Raises WorkerError on every rank when an element is held by none or by two:
    a parameter that is empty or in part can never be saved.
    """
    prefix = "model."
    held = {piece.name: piece for piece in strategy.pieces() if piece.name.startswith(prefix)}
    whole: dict[str, torch.Tensor] = {}
    names = [(name, shape) for name, _, shape in strategy.trainable()]
    counts = torch.zeros(len(names), dtype=torch.int64)
    for number, (name, shape) in enumerate(names):
        bits = torch.zeros(shape.numel(), dtype=torch.int32)
        piece = held.get(prefix + name)
        if piece is not None:
            stop = piece.start + piece.values.numel()
            # as integers: the sum with zeros is exact, of any bit pattern
            bits[piece.start : stop] = piece.values.detach().to("cpu", torch.float32).view(torch.int32)
            counts[number] = piece.values.numel()
        if strategy.world.size > 1:
            distributed.reduce(bits, dst=0)
        if strategy.world.leads:
            whole[name] = bits.view(torch.float32).view(shape)
    strategy.world.total(counts)
    wrong = [
        f"{name}: {int(count):,} of {shape.numel():,} elements"
        for (name, shape), count in zip(names, counts, strict=True)
        if count != shape.numel()
    ]
    if wrong:
        raise WorkerError(Problem("the ranks do not hold the whole model: " + "; ".join(wrong[:5])))
    return whole
