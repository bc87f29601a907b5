"""A cluster, seen from a login node without torch. Plain facts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Nodes:
    """Machines of one shape in one partition."""

    count: int
    cores: int
    memory_bytes: int
    gpus: int
    gpu_type: str


@dataclass(frozen=True)
class Partition:
    """One queue of the cluster."""

    name: str
    default: bool
    minutes: int | None
    """The longest that a job may take; None where there is no end."""
    nodes: tuple[Nodes, ...]


@dataclass(frozen=True)
class Cluster:
    """All partitions that this user sees, as `sinfo` lists them."""

    partitions: tuple[Partition, ...]

    @property
    def default(self) -> Partition | None:
        """Where a job goes that names no partition."""
        return next((partition for partition in self.partitions if partition.default), None)

    def partition(self, name: str) -> Partition | None:
        """The partition of that name."""
        return next((partition for partition in self.partitions if partition.name == name), None)
