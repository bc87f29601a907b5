"""What a machine has, as plain facts: this one's come from `machine_facts`, a cluster node's from its scheduler."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """One machine or one node of a cluster, seen without torch.

    Cores that a process may use, bytes of memory, CUDA devices, what is installed.
    """

    cores: int
    memory_bytes: int
    gpus: tuple[str, ...] = ()
    gpu_memory_bytes: tuple[int, ...] = ()
    cpu_bf16: bool = False
    deepspeed: bool = True
    bitsandbytes: bool = True
    compiler: bool = True
    """Of C++, which torch.compile calls."""
