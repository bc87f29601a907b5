"""What a forward pass gives, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from launcher.errors import Problem, WorkerError
from launcher.training.batches.split import FURTHER, SHARED

Tensors = Mapping[str, torch.Tensor]


def outputs_of(model: Any, inputs: Tensors, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """The outputs of these names, in fp32: those of further inputs below the others'. Raises WorkerError where the
    model does not give one of them.
    """
    parts = [_outputs(model(**one.inputs), one.shared, names) for one in passes(inputs)]
    return parts[0] if len(parts) == 1 else {name: torch.cat([part[name] for part in parts]) for name in names}


def outputs_at(model: Any, inputs: Tensors, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """The same, computed on the device of a transformers model, for inputs on the CPU."""
    device = getattr(model, "device", torch.device("cpu"))
    given = outputs_of(model, {name: values.to(device) for name, values in inputs.items()}, names)
    return {name: values.cpu() for name, values in given.items()}


def _outputs(given: Any, shared: torch.Tensor | None, names: Sequence[str]) -> dict[str, torch.Tensor]:
    lacking = [name for name in names if getattr(given, name, None) is None]
    if lacking:
        what = f"the task takes {', '.join(lacking)} of the forward pass, which gives {', '.join(given.keys())}"
        raise WorkerError(Problem(what, do="name in the task's outputs what this model gives"))
    outputs = {name: getattr(given, name).float() for name in names}
    if shared is None:
        return outputs
    # as rows of a table: their gradients are added in one order on every device, unlike those of an index
    return {name: functional.embedding(shared, values) for name, values in outputs.items()}


class Pass(NamedTuple):
    """What one forward pass takes, and which of its rows each output is of where that is not one each."""

    inputs: dict[str, torch.Tensor]
    shared: torch.Tensor | None


def passes(inputs: Tensors) -> list[Pass]:
    """The passes of a batch, one or two: see `FURTHER` and `SHARED`."""
    further = {name.removeprefix(FURTHER): values for name, values in inputs.items() if name.startswith(FURTHER)}
    own = {name: values for name, values in inputs.items() if not name.startswith(FURTHER)}
    return [Pass(one, one.pop(SHARED, None)) for one in ([own, further] if further else [own])]


def largest_difference(one: Tensors, other: Tensors) -> float:
    """Between outputs of the same names and shapes. NaN where either holds one."""
    return float(torch.stack([(one[name] - other[name]).abs().max() for name in one]).max())
