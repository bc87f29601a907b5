"""A model turned into code of its own by torch.compile, which gives the same numbers every time."""

from __future__ import annotations

import os

import torch
from torch import nn


def compile_model(model: nn.Module) -> None:
    """Have `model` compiled for batches of any shape at its first call.

    The compiled backward pass of an embedding table adds rows from several threads in the order in which they come, so
    that no two runs give the same bits, unless torch is set to deterministic operations (cuBLAS, too, by the variable).
    It only warns of those that cannot be; memory need not be filled for us, as nothing reads what it has not written.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property of that module
    model.compile(dynamic=True)
