"""How much memory one micro-batch takes above weights, gradients and optimiser: traced, then fitted.

The real forward and backward pass run on tensors without data (or small real ones) while every storage that comes
and goes is counted. What is alive falls into intervals, one for each gradient that becomes whole; each interval's
peak is traced for a few numbers of rows, and what lies between two of them is checked on one more.
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

from launcher.plan.model_facts import Curve
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


@dataclass
class Traced:
    """One model, quantity by quantity as in `Trace`: bytes of micro-batches of so many `rows`, [quantities, rows]."""

    order: list[str]
    rows: tuple[int, ...]
    peaks: np.ndarray
    rests: np.ndarray
    evaluation: np.ndarray
    """[rows]"""
    worst_error: float
    """Error of the peak between rows, against a trace of its own, as a fraction of the peak."""


def trace_rows(run: Callable[[Shape], Trace], rows: Sequence[int], length: int, check: int) -> Traced:
    """Trace micro-batches of these rows, and compare with the trace of `check` rows."""
    traces: dict[int, Trace] = {}
    for count in rows:
        try:
            traces[count] = run((count, length))
        except Exception:
            if count > 1:  # one row by itself has no statistics of a batch, and nothing to be compared with
                raise
    orders = {tuple(one.order) for one in traces.values()}
    assert len(orders) == 1, "the order of the gradients depends on the rows of the batch"
    known = tuple(traces)
    peaks, rests = (np.array([getattr(one, name) for one in traces.values()]).T for name in ("peaks", "rests"))
    last = max(run((check, length)).peaks)
    error = abs(max(Curve(known, tuple(peak)).at(check) for peak in peaks) - last) / last
    evaluation = np.array([one.evaluation for one in traces.values()])
    return Traced(list(orders.pop()), known, peaks, rests, evaluation, error)
