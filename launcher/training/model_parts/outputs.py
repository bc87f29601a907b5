"""What a forward pass gives, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from launcher.errors import Problem, WorkerError

Tensors = Mapping[str, torch.Tensor]


def outputs_of(model: Any, inputs: Tensors, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """The outputs of these names, in fp32. Raises WorkerError where the model does not give one of them."""
    given = model(**inputs)
    lacking = [name for name in names if getattr(given, name, None) is None]
    if lacking:
        what = f"the task takes {', '.join(lacking)} of the forward pass, which gives {', '.join(given.keys())}"
        raise WorkerError(Problem(what, do="name in the task's outputs what this model gives"))
    return {name: getattr(given, name).float() for name in names}


def largest_difference(one: Tensors, other: Tensors) -> float:
    """Between outputs of the same names and shapes. NaN where either holds one."""
    return float(torch.stack([(one[name] - other[name]).abs().max() for name in one]).max())
