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
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from launcher import child
from launcher.errors import Problem, WorkerError
from launcher.plan import Plan
from launcher.recipe import Recipe
from launcher.root_cause import ENDED_WELL as ENDED_WELL
from launcher.root_cause import UNTOLD as UNTOLD
from launcher.root_cause import Cause as Cause
from launcher.root_cause import causes as causes
from launcher.root_cause import process_fault
from launcher.rundir import AttemptFolder, RunFolder
from launcher.spec.embedding import Pretrained
from launcher.spec.peft import Adapter, LowRank
from launcher.stillness import Stillness

PR_SET_PDEATHSIG = 1
SECONDS_TO_SPEAK = 2.0
"""After one rank failed the others get this long to write their own story before they are killed."""
SECONDS_TO_SAVE = 60.0
"""After a stop was asked for, the ranks get this long, or two of their slowest steps, to begin to save. Saving itself
is not hurried: who cannot wait asks twice, and a scheduler ends the job at its own limit."""


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
    processes: dict[int, int] = field(default_factory=dict)
    """The process ids of the ranks that run."""
    stillness: Stillness | None = None
    modules: tuple[str, ...] = ()

    @classmethod
    def open(cls, modules: tuple[str, ...] = ()) -> Node:
        """Start the nursery; it imports while the caller goes on. Its own session: Ctrl-C is ours to handle.

        `modules` are what its ranks will need besides (`modules_for`).
        """
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            child.words("launcher.nursery", str(theirs.fileno()), str(os.getpid()), *modules),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=2,
            env=_nursery_environment(),
            start_new_session=True,
            preexec_fn=_deaf,
        )
        theirs.close()
        return cls(process, ours, modules=modules)

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
        if self.process.poll() is not None:
            self._reopen()
        self.running, self.ended, self.killed_at, self.processes = set(mine), {}, None, {}
        self.stillness = Stillness(attempt)
        self._say({"fork": ranks})

    def watch(self, tick: Callable[[], None], stop_asked: Callable[[], int]) -> None:
        """Return when every rank has ended. `tick` is called about five times a second.

        `stop_asked` counts the requests to stop so far: at the first the ranks are asked to save and end,
        at the second they are killed.
        """
        asked, stop_by, deadline = 0, float("inf"), float("inf")
        while self.running and self.process.poll() is None:
            self._listen(0.2)
            tick()
            if stop_asked() > asked:
                asked = stop_asked()
                self._signal(signal.SIGTERM if asked == 1 else signal.SIGKILL)
                self.killed_at = self.killed_at or (time.time() if asked > 1 else None)
                slowest = self.stillness.slowest if self.stillness is not None else 0.0
                stop_by = min(stop_by, time.monotonic() + max(SECONDS_TO_SAVE, 2 * slowest))
            if any(status not in ENDED_WELL for status, _ in self.ended.values()) and self.killed_at is None:
                deadline = min(deadline, time.monotonic() + SECONDS_TO_SPEAK)
            if self.stillness is not None and self.killed_at is None:
                hangs = self.stillness.hang(self.processes)
                if hangs or (time.monotonic() > stop_by and not self.stillness.saving()):
                    deadline = 0.0
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
            return process_fault(Problem(f"the process that starts the ranks ended with status {code}"))
        found = causes(attempt, self.ended, self.killed_at)
        return min(found, key=lambda cause: cause[:2])[2] if found else None

    def _reopen(self) -> None:
        """A new nursery: the one before went down with its ranks."""
        self.connection.close()
        fresh = Node.open(self.modules)
        self.process, self.connection, self.unread = fresh.process, fresh.connection, b""

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
            if "started" in message:
                self.processes[int(message["started"])] = int(message["pid"])
            if "ended" in message:
                rank = int(message["ended"])
                self.running.discard(rank)
                self.processes.pop(rank, None)
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


def _deaf() -> None:
    """In the nursery before it is Python: srun signals every process of a step, and what asks is passed on by us."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def _nursery_environment() -> dict[str, str]:
    """This process's environment without what other launchers left in it, and without idle thread pools."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ACCELERATE_", "FSDP_")) and key not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    }
    return {**inherited, **THREADS, **MEMORY, "OPENBLAS_NUM_THREADS": "1"}
