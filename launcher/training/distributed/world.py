"""The ranks of one run, seen from one of them: joining, and the few collectives that are not gradients.

On one node of ours the ranks meet through a file and gloo binds to loopback: nothing listens beyond it. Across
nodes rank 0 listens at the one address that the others reach it by, and gloo binds to the interface chosen there.
Ranks that torchrun or accelerate started keep the rendezvous that these made.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from launcher.errors import Problem, WorkerError
from launcher.runs import pulse

TIMEOUT = timedelta(minutes=30)
TIME_TO_MEET = timedelta(minutes=5)
"""Ranks of other machines may still import while rank 0 listens; a port that is closed to them must be reported."""


@dataclass(frozen=True)
class World:
    """This rank among all."""

    rank: int
    local_rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this rank reports and writes for all."""
        return self.rank == 0

    @property
    def on_one_machine(self) -> bool:
        """Whether no rank is on another machine, according to what started them (torchrun also sets it)."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", "0")) == self.size

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The element-wise sum over all ranks (of a CPU or device tensor), on every rank."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def summed(self, values: np.ndarray) -> np.ndarray:
        """The element-wise sum over all ranks, on every rank; the array itself, changed."""
        self.total(torch.from_numpy(values))
        return values

    def largest(self, values: np.ndarray) -> np.ndarray:
        """The element-wise maximum over all ranks, on every rank."""
        if self.size > 1:
            distributed.all_reduce(torch.from_numpy(values), op=distributed.ReduceOp.MAX)
        return values

    def of_each(self, held: Mapping[str, int]) -> dict[str, list[int]]:
        """The same numbers of every rank, rank 0 first."""
        table = np.zeros((len(held), self.size), dtype=np.int64)
        table[:, self.rank] = list(held.values())
        return dict(zip(held, self.largest(table).tolist(), strict=True))

    def start_vote(self, flag: bool) -> tuple[torch.Tensor, Any]:
        """Ask whether any rank says yes; runs beside the step's computation, on CPU tensors."""
        ballot = torch.tensor([int(flag)], dtype=torch.int32)
        work = distributed.all_reduce(ballot, op=distributed.ReduceOp.MAX, async_op=True) if self.size > 1 else None
        return ballot, work

    def count_vote(self, vote: tuple[torch.Tensor, Any]) -> bool:
        """The answer, the same on every rank."""
        ballot, work = vote
        if work is not None:
            work.wait()
        return bool(ballot.item())

    def barrier(self) -> None:
        """Wait until every rank is here (over CPU tensors)."""
        self.total(torch.zeros(1))

    def tell(self, message: bytes) -> bytes:
        """Rank 0's message, on every rank. Plain bytes: nothing is unpickled."""
        if self.size == 1:
            return message
        size = torch.tensor([len(message)], dtype=torch.int64)
        distributed.broadcast(size, src=0)
        body = torch.zeros(int(size.item()), dtype=torch.uint8)
        if self.leads:
            body[:] = torch.frombuffer(bytearray(message), dtype=torch.uint8)
        distributed.broadcast(body, src=0)
        return body.numpy().tobytes()


def join(device: str, meeting: Path | tuple[str, int] | None, alone: bool) -> World:
    """Join the run's process group, unless this process is `alone`.

    `meeting` is a file on this node, or address and port on the first one; None means `env://` (torchrun's way).
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    pulse.tick("joining")
    own_device = torch.device("cuda", local_rank) if device == "cuda" else torch.device("cpu")
    if device == "cuda":
        torch.cuda.set_device(own_device)
    if not alone:
        backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
        if meeting is None:
            distributed.init_process_group(backend, timeout=TIMEOUT)
        else:
            store = _meet(meeting, rank, size)
            distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    return World(rank, local_rank, size, own_device)


def _meet(meeting: Path | tuple[str, int], rank: int, size: int) -> distributed.Store:
    if isinstance(meeting, Path):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        return distributed.FileStore(str(meeting), size)
    host, port = meeting
    listening = None
    if rank == 0:  # a socket of our own: torch's would listen on every interface
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            ours.bind(address)
            ours.listen(size)
            listening = ours.detach()
    try:
        return distributed.TCPStore(
            host, port, size, rank == 0, TIME_TO_MEET, wait_for_workers=False, master_listen_fd=listening
        )
    except RuntimeError as error:  # torch's own network errors are such
        what = f"rank {rank} cannot reach rank 0: {str(error).splitlines()[0]}"
        do = "the machines' ports must be open to each other on the interface between them"
        raise WorkerError(Problem(what, f"{host}:{port}", do)) from None
