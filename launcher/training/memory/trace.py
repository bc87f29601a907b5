"""How much memory one micro-batch takes above weights, gradients and optimiser: traced, then fitted.

The real forward and backward pass run on tensors without data (or small real ones) while every storage that comes
and goes is counted. What is alive falls into intervals, one for each gradient that becomes whole; each interval's
peak is a polynomial in rows and length, which is solved from traces of a few shapes and checked on one more.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from launcher.training.model_parts.outputs import outputs_of
from launcher.training.model_parts.packing import SPARE
from launcher.training.precision import computing_in
from launcher.training.tasks.base import TaskWork

Shape = tuple[int, int]
"""Rows and tokens a row."""


class Storages(TorchDispatchMode):
    """Bytes of all storages that were made while it is entered; those of `known` tensors count as there before."""

    def __init__(self, known: Sequence[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it without types
        self.alive = 0
        self.peak = 0
        self.seen: dict[int, Any] = {}
        for tensor in known:
            storage = tensor.untyped_storage()
            self.seen[id(storage)] = storage

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry the operation out and count what it made."""
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return made

    def attach(self, gradient: torch.Tensor) -> None:
        """From now on this tensor is a gradient and no passing memory."""
        storage = gradient.untyped_storage()
        self.seen[id(storage)] = storage
        self.alive -= storage.nbytes()

    def interval(self) -> tuple[int, int]:
        """Peak since the last call, and what is alive now."""
        measured = self.peak, self.alive
        self.peak = self.alive
        return measured

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self.seen:
            return
        self.seen[key] = weakref.ref(storage, lambda _: self._drop(key, size))
        self.alive += size
        self.peak = max(self.peak, self.alive)

    def _drop(self, key: int, size: int) -> None:
        if isinstance(self.seen.get(key), weakref.ref):
            del self.seen[key]
            self.alive -= size


@dataclass
class Trace:
    """One micro-batch: the names of the parameters in the order in which their gradients became whole; bytes."""

    order: list[str] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    """Most that was alive besides whole gradients, until that parameter's gradient was whole."""
    rests: list[int] = field(default_factory=list)
    """What was alive right after."""
    evaluation: int = 0
    """Most that is alive while the same rows are only predicted."""


def trace(
    model: nn.Module,
    shape: Shape,
    precision: str,
    work: TaskWork,
    packed: bool = False,
) -> Trace:
    """Forward and backward of `shape` rows and tokens, with the task's own sample and loss; `packed` as one sequence,
    which is longest where almost every place holds a token.
    """
    model.train()
    traced = Trace()
    known = [*model.parameters(), *model.buffers()]
    with Storages(known) as storages:
        hooks = [
            parameter.register_post_accumulate_grad_hook(_attacher(name, traced, storages))
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        ]
        try:
            _loss(model, shape, precision, work, packed).backward()
        finally:
            for hook in hooks:
                hook.remove()
    model.zero_grad(set_to_none=True)
    model.eval()
    with Storages(known) as storages, torch.no_grad():
        _loss(model, shape, precision, work, packed)
        traced.evaluation = storages.peak
    return traced


def _attacher(name: str, traced: Trace, storages: Storages) -> Callable[[torch.Tensor], None]:
    def attach(parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        peak, _ = storages.interval()
        storages.attach(parameter.grad)
        storages.peak = storages.alive
        traced.order.append(name)
        traced.peaks.append(peak)
        traced.rests.append(storages.alive)

    return attach


def _loss(model: nn.Module, shape: Shape, precision: str, work: TaskWork, packed: bool) -> torch.Tensor:
    inputs, wanted = work.sample(*shape)
    inputs = {**inputs, **({SPARE: torch.zeros((shape[0], 0), dtype=torch.int8)} if packed else {})}
    with computing_in(precision, "cpu"):
        outputs = outputs_of(model, inputs, work.outputs)
    return reduce(operator.add, work.loss(outputs, wanted).values())


def features(rows: float, length: float) -> list[float]:
    """What bytes are linear in: `launcher.plan.memory` evaluates the same polynomial."""
    return [1.0, length, length**2, rows, rows * length, rows * length**2]


def solve(shapes: Sequence[Shape], bytes_at: np.ndarray) -> np.ndarray:
    """Coefficients [quantities, 6] of the polynomials through `bytes_at` [shapes, quantities]."""
    wanted = np.array([features(*shape) for shape in shapes])
    scale = np.abs(wanted).max(axis=0)
    solution, *_ = np.linalg.lstsq(wanted / scale, bytes_at.astype(np.float64), rcond=None)
    return np.asarray((solution / scale[:, None]).T)


@dataclass
class Fitted:
    """Polynomials of one model, quantity by quantity as in `Trace`; coefficients [quantities, 6]."""

    order: list[str]
    peaks: np.ndarray
    rests: np.ndarray
    evaluation: np.ndarray
    worst_error: float
    """Largest error of a peak against the trace that was left out of the fit, as a fraction of the peak."""


def fit(run: Callable[[Shape], Trace], shapes: Sequence[Shape], check: Shape) -> Fitted:
    """Trace `shapes`, solve, and compare with the trace of `check`."""
    traces = [run(shape) for shape in shapes]
    orders = {tuple(one.order) for one in traces}
    assert len(orders) == 1, "the order of the gradients depends on the shape of the batch"
    peaks, rests = (solve(shapes, np.array([getattr(one, name) for one in traces])) for name in ("peaks", "rests"))
    evaluation = solve(shapes, np.array([[one.evaluation] for one in traces]))[0]
    last = run(check)
    most = max(last.peaks)
    error = abs(float((peaks @ np.array(features(*check))).max()) - most) / most
    return Fitted(traces[0].order, peaks, rests, evaluation, error)
