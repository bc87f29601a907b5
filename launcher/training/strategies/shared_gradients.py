"""Gradients of CPU processes on one machine, summed in memory that they share (docs/decisions/012-shared-memory.md).

Over loopback a sum costs as much as a third of a small model's step, and nothing hides it: with a core each, sending
and computing take turns. Here each rank writes its gradients into a box that all see, adds up one equal part of
all boxes, and reads the others' parts where they lie.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from pathlib import Path

import torch
from torch import nn

from launcher.training.distributed.world import World

MEMORY = Path("/dev/shm")
BLOCK = 16_384
"""Numbers whose squares are added up in fp32: a row of them by one thread, no matter which adds up the other rows."""


class SharedGradients:
    """A box for each rank's gradients and one for their sums. All ranks call each method equally often."""

    def __init__(self, world: World, parameters: list[nn.Parameter], boxes: torch.Tensor):
        """`boxes` [ranks + 1, numbers of all parameters], fp32, is the same memory in every rank."""
        self.world, self.parameters = world, parameters
        self.boxes, self.total = boxes[:-1], boxes[-1]
        ends = torch.tensor([0, *(p.numel() for p in parameters)]).cumsum(0).tolist()
        self.ranges = list(itertools.pairwise(ends))
        self.start, self.stop = self._cut(world.rank), self._cut(world.rank + 1)

    @classmethod
    def open(cls, world: World, parameters: list[nn.Parameter]) -> SharedGradients | None:
        """Shared memory for these; None on every rank where one of them cannot have it (no room, another host)."""
        shape = world.size + 1, sum(p.numel() for p in parameters)
        made = _room(4 * shape[0] * shape[1]) if world.leads else None
        path = world.tell(json.dumps(str(made) if made else None).encode() if world.leads else b"")
        boxes = _mapped(json.loads(path), shape)
        missing = world.total(torch.tensor([float(boxes is None)])).item()
        if made is not None:
            made.unlink()  # the memory lasts as long as someone has it
        return None if boxes is None or missing else cls(world, parameters, boxes)

    @torch.no_grad()
    def sum(self) -> list[torch.Tensor]:
        """Turn every gradient into its sum over all ranks; what this rank has summed, each gradient's part flat.

        Whatever is done to these reaches the others with `publish`, and nothing may be read before.
        """
        gradients = [p.grad.reshape(-1) if p.grad is not None else torch.zeros(p.numel()) for p in self.parameters]
        box, written, read = self.boxes[self.world.rank], [], []
        for (first, last), gradient in zip(self.ranges, gradients, strict=True):
            for low, high in ((first, min(last, self.start)), (max(first, self.stop), last)):
                if low < high:  # another rank's part
                    written.append(box[low:high])
                    read.append(gradient[low - first : high - first])
        if written:  # of a small model one rank may have all
            torch._foreach_copy_(written, read)
        self.world.barrier()
        own = []
        for (first, last), gradient in zip(self.ranges, gradients, strict=True):
            low, high = max(first, self.start), min(last, self.stop)
            if low < high:
                parts = [other[low:high] for other in self.boxes]
                parts[self.world.rank] = gradient[low - first : high - first]
                own.append(self.total[low:high])
                _add(parts, own[-1])
        for (first, last), parameter in zip(self.ranges, self.parameters, strict=True):
            parameter.grad = self.total[first:last].view(parameter.shape)
        return own

    def publish(self) -> None:
        """Wait until every rank has done what it does to its part."""
        self.world.barrier()

    def _cut(self, rank: int) -> int:
        """Where this rank's part begins: between two blocks of a gradient, or two gradients."""
        even = len(self.total) * rank // self.world.size
        first = max(first for first, _ in self.ranges if first <= even)
        return first + (even - first) // BLOCK * BLOCK if rank < self.world.size else len(self.total)


def sum_of_squares(gradients: list[torch.Tensor]) -> torch.Tensor:
    """Of all numbers, fp64: so exact that its fp32 square root is the same however the ranks divide the blocks."""
    norms = [torch.zeros(1)]
    for gradient in gradients:
        numbers = gradient.reshape(-1)
        whole = len(numbers) // BLOCK * BLOCK
        norms.append(torch.linalg.vector_norm(numbers[:whole].view(-1, BLOCK), dim=1))
        norms.append(torch.linalg.vector_norm(numbers[whole:]).reshape(1))
    return torch.cat(norms).double().square().sum()


def _add(parts: list[torch.Tensor], out: torch.Tensor) -> None:
    """In the ranks' order: the sum of an element does not depend on who adds it up."""
    torch.add(parts[0], parts[1], out=out)
    for part in parts[2:]:
        out.add_(part)


def _room(size: int) -> Path | None:
    """A new file of that many bytes in memory, all of them taken; None where there is no room."""
    path = None
    try:
        descriptor, name = tempfile.mkstemp(prefix="recipe-launcher-", dir=MEMORY)
        path = Path(name)
        try:
            os.posix_fallocate(descriptor, 0, size)  # a page that cannot be had later would kill the process
        finally:
            os.close(descriptor)
    except OSError:
        if path is not None:
            path.unlink()
        return None
    return path


def _mapped(path: str | None, shape: tuple[int, int]) -> torch.Tensor | None:
    size = shape[0] * shape[1]
    try:
        if path is None or Path(path).stat().st_size != 4 * size:
            return None
        return torch.from_file(path, shared=True, size=size, dtype=torch.float32).view(shape)
    except (OSError, RuntimeError):
        return None
