"""One node's ranks for one attempt: start them from the nursery, watch them, end them, say why they ended.

Light: it never imports torch; the nursery it starts does. It decides nothing about a next attempt.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from launcher.errors import Interrupted, Problem, WorkerError
from launcher.plan import Plan
from launcher.recipe import Recipe
from launcher.rundir import AttemptFolder, RunFolder, read_json
from launcher.spec.embedding import Pretrained
from launcher.spec.peft import Adapter, LowRank

PR_SET_PDEATHSIG = 1
SECONDS_TO_SPEAK = 2.0
"""After one rank failed the others get this long to write their own story before they are killed."""
SECONDS_TO_SAVE = 60.0
"""After a stop was asked for, the ranks get this long to finish their step and save."""
ENDED_WELL = (0, Interrupted.exit_code)
"""Finished, or stopped on request with its state saved."""
UNTOLD = 74
"""A rank ends with this (sysexits' EX_IOERR) when it could not even write why it broke."""
AFTERSHOCKS = ("connection closed by peer", "connection reset", "connection was likely closed", "broken pipe")
"""What a rank says whose neighbour has died: never the root cause."""


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, and leave at once if that has happened."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


THREADS = {"GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT") or "2000", "TOKENIZERS_PARALLELISM": "true"}
"""Before torch is loaded: its threads must not spin for long while they wait, or any other job on the machine
makes a step many times slower (docs/decisions/005-waiting-threads.md)."""

MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(2 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}
"""glibc keeps freed gradients instead of handing them back to the kernel and faulting them in again each step."""


@dataclass(frozen=True)
class Machine:
    """Which of an attempt's machines this is, and where all ranks meet: at a file on a lone one."""

    number: int = 0
    head: tuple[str, int] | None = None
    """Address and port on the first machine."""
    interface: str = ""
    """The network interface through which this machine reaches the first one, or by which it is reached."""


ALONE = Machine()


@dataclass
class Node:
    """The nursery of this node and the ranks it has forked."""

    process: subprocess.Popen[bytes]
    connection: socket.socket
    unread: bytes = b""
    ready: bool = False
    running: set[int] = field(default_factory=set)
    ended: dict[int, tuple[int, float]] = field(default_factory=dict)
    killed_at: float | None = None

    @classmethod
    def open(cls, modules: tuple[str, ...] = ()) -> Node:
        """Start the nursery; it imports while the caller goes on. Its own session: Ctrl-C is ours to handle.

        `modules` are what its ranks will need besides (`modules_for`).
        """
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [sys.executable, "-m", "launcher.nursery", str(theirs.fileno()), str(os.getpid()), *modules],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            env=_nursery_environment(),
            start_new_session=True,
        )
        theirs.close()
        return cls(process, ours)

    def start(
        self, plan: Plan, folder: RunFolder, attempt: AttemptFolder, began: float, machine: Machine = ALONE
    ) -> None:
        """Fork this machine's ranks; also for a next attempt, or another run, once those before have ended."""
        first = machine.number * plan.processes_per_node
        mine = range(first, first + plan.processes_per_node)
        ranks = []
        for rank in mine:
            ranks.append(
                {
                    "rank": rank,
                    "environment": rank_environment(plan, rank, machine),
                    "log": str(attempt.log(rank)),
                    "arguments": {
                        "folder": str(folder.path),
                        "attempt": attempt.number,
                        "rank": rank,
                        "began": began,
                        "head": machine.head,
                    },
                }
            )
        self.running, self.ended, self.killed_at = set(mine), {}, None
        self._say({"fork": ranks})

    def watch(self, tick: Callable[[], None], stop_asked: Callable[[], int]) -> None:
        """Return when every rank has ended. `tick` is called about five times a second.

        `stop_asked` counts the requests to stop so far: at the first the ranks are asked to save and end,
        at the second they are killed.
        """
        asked, deadline = 0, float("inf")
        while self.running and self.process.poll() is None:
            self._listen(0.2)
            tick()
            if stop_asked() > asked:
                asked = stop_asked()
                self._signal(signal.SIGTERM if asked == 1 else signal.SIGKILL)
                self.killed_at = self.killed_at or (time.time() if asked > 1 else None)
                deadline = min(deadline, time.monotonic() + SECONDS_TO_SAVE)
            if any(status not in ENDED_WELL for status, _ in self.ended.values()) and self.killed_at is None:
                deadline = min(deadline, time.monotonic() + SECONDS_TO_SPEAK)
            if time.monotonic() > deadline and self.killed_at is None:
                self.killed_at = time.time()
                self._signal(signal.SIGKILL)
        tick()

    def close(self) -> None:
        """End the nursery and with it whatever still runs."""
        self.connection.close()
        if not self.running:
            self.process.kill()  # it may be importing, and has nobody to look after
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def failure(self, attempt: AttemptFolder) -> WorkerError | None:
        """Why the attempt failed: the root cause first. None when every rank ended well."""
        if self.running and self.process.poll() is not None:
            code = self.process.returncode
            return WorkerError(Problem(f"the process that starts the ranks ended with status {code}"))
        found = causes(attempt, self.ended, self.killed_at)
        return min(found, key=lambda cause: cause[:2])[2] if found else None

    def _signal(self, number: int) -> None:
        self._say({"signal": int(number)})

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return  # the nursery is gone; `watch` sees that by its process

    def _listen(self, seconds: float) -> None:
        readable, _, _ = select.select([self.connection], [], [], seconds)
        if not readable:
            return
        try:
            received = self.connection.recv(1 << 16)
        except OSError:  # the nursery died with our words unread
            received = b""
        if not received:
            time.sleep(min(seconds, 0.05))  # its process will show that it is gone
            return
        *lines, self.unread = (self.unread + received).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "ended" in message:
                rank = int(message["ended"])
                self.running.discard(rank)
                self.ended[rank] = (int(message["status"]), float(message["time"]))
            self.ready = self.ready or "ready" in message


def modules_for(recipe: Recipe, gpus: bool) -> tuple[str, ...]:
    """What the ranks of such a run import, so that the nursery does it once and while the data is prepared.

    Where there are GPUs, not what may ask CUDA for them: that must not happen before a fork. Never DeepSpeed, which
    chooses its device when it is imported: only the rank knows the plan's.
    """
    if isinstance(recipe.embedding, Pretrained):
        names = ["launcher.training.embeddings.pretrained", "transformers.models.auto.modeling_auto"]
        names += [] if gpus else ["transformers.modeling_utils"]
    else:
        names = ["launcher.training.embeddings.static_model"]
    if not gpus and isinstance(recipe.peft, LowRank | Adapter):
        names.append("peft")
    return tuple(names)


def rank_environment(plan: Plan, rank: int, machine: Machine = ALONE) -> dict[str, str]:
    """The ordinary variables of one rank; nothing of ours travels in the environment."""
    meeting = {}
    if machine.head is not None:  # we join by the address itself; accelerate asks for the variables all the same
        meeting = {"MASTER_ADDR": machine.head[0], "MASTER_PORT": str(machine.head[1])}
        meeting["GLOO_SOCKET_IFNAME"] = meeting["NCCL_SOCKET_IFNAME"] = machine.interface
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank % plan.processes_per_node),
        "WORLD_SIZE": str(plan.world_size),
        "LOCAL_WORLD_SIZE": str(plan.processes_per_node),
        "OMP_NUM_THREADS": str(plan.threads_per_process),
        **meeting,
    }


def _nursery_environment() -> dict[str, str]:
    """This process's environment without what other launchers left in it, and without idle thread pools."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ACCELERATE_", "FSDP_")) and key not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    }
    return {**inherited, **THREADS, **MEMORY, "OPENBLAS_NUM_THREADS": "1"}


Cause = tuple[int, float, WorkerError]
"""How unlikely as root cause, when it happened, the error."""


def causes(attempt: AttemptFolder, ended: Mapping[int, tuple[int, float]], killed_at: float | None) -> list[Cause]:
    """What the ranks of one machine say that ended badly; the least of them is the root cause."""
    found = []
    for rank, (status, when) in ended.items():
        if status not in ENDED_WELL:
            we_killed = killed_at is not None and when >= killed_at
            found.append(_cause(rank, status, when, read_json(attempt.failure(rank)), attempt, we_killed))
    return found


def _cause(rank: int, status: int, when: float, told: Any, attempt: AttemptFolder, we_killed: bool) -> Cause:
    """Of one rank that ended badly."""
    where = f"rank {rank}, log {attempt.log(rank)}"
    if told is not None:
        problems = [Problem(p["what"], p["where"] or where, p["do"]) for p in told["problems"]]
        aftershock = any(mark in problems[0].what.lower() for mark in AFTERSHOCKS)
        error = WorkerError(problems)
        error.batch_too_large = told.get("kind") == "out_of_memory" and told.get("of") == "batch"
        return (2 if aftershock else 0, float(told["time"]), error)
    if status < 0:
        name = signal.Signals(-status).name
        do = "the kernel kills a process that takes too much memory: see `dmesg`" if status == -9 else ""
        late = 3 if we_killed and status == -9 else 0
        return (late, when, WorkerError(Problem(f"rank {rank} was killed by {name}", where, do)))
    if status == UNTOLD:
        return (1, when, WorkerError(Problem(f"rank {rank} could not write: the disk is full", where, "make room")))
    return (1, when, WorkerError(Problem(f"rank {rank} ended with status {status}", where, "read its log")))
