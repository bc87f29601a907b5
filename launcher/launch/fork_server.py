"""The process that forks a node's ranks (`worker.fork_server`), seen from the launcher: start, messages and end.

Light: it never imports torch; the process it starts does. A spare is a copy that the process forks of itself once it
has imported: it costs next to nothing, and takes over at once where the other one was killed or hangs. The
kernel makes it our child, since we adopt orphans, so it dies with us and not with its twin.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher import child
from launcher.host.processes import stat_fields
from launcher.host.vital_signs import state_of

PR_SET_CHILD_SUBREAPER = 36
SECONDS_BETWEEN_PINGS = 1.0
SECONDS_TO_DIE = 2.0

THREADS = {"GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT") or "2000", "TOKENIZERS_PARALLELISM": "true"}
"""Before torch is loaded: its threads must not spin for long while they wait, or any other job on the machine
makes a step many times slower (docs/decisions/005-waiting-threads.md)."""

MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(2 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}
"""glibc keeps freed gradients instead of handing them back to the kernel and faulting them in again each step."""


@dataclass
class ForkServer:
    """One such process, and the connection to it."""

    pid: int
    connection: socket.socket
    poll: Callable[[], int | None]
    """How it ended; None as long as it lives."""
    unread: bytes = b""
    ready: bool = False
    """Whether it has imported, and can fork."""
    hung_up: bool = False
    unanswered: float | None = None
    """Since when it owes an answer to a ping, by the launcher's clock."""
    next_ping: float = 0.0
    stopped: float | None = None
    """Since when it has been stopped by a signal."""

    @classmethod
    def open(cls, modules: Iterable[str] = ()) -> ForkServer:
        """Start one; it imports while the caller goes on. Its own session: Ctrl-C is ours to handle."""
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            child.words("launcher.worker.fork_server", str(theirs.fileno()), str(os.getpid()), *modules),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=2,
            env=server_environment(),
            start_new_session=True,
            preexec_fn=_deaf,
        )
        theirs.close()
        return cls(process.pid, ours, process.poll)

    def spare(self) -> ForkServer:
        """A copy of this one, which has imported all that it has; `ready` when it says so itself."""
        ours, theirs = socket.socketpair()
        with contextlib.suppress(OSError):
            socket.send_fds(self.connection, [json.dumps({"spare": os.getpid()}).encode() + b"\n"], [theirs.fileno()])
        theirs.close()
        copy = ForkServer(0, ours, lambda: None)
        copy.poll = _Ending(copy)
        return copy

    def fit(self) -> bool:
        """Whether it can fork at once."""
        self.heard()
        return self.ready and not self.hung_up and self.poll() is None and state_of(self.pid) != "T"

    def say(self, message: dict[str, Any]) -> None:
        """Send one line; where it is not received, the state of the process shows why."""
        with contextlib.suppress(OSError):
            self.connection.sendall(json.dumps(message).encode() + b"\n", socket.MSG_DONTWAIT)

    def heard(self, seconds: float = 0.0) -> list[dict[str, Any]]:
        """The messages that have come in; waits at most so long for one."""
        if not select.select([self.connection], [], [], seconds)[0]:
            return []
        try:
            received = self.connection.recv(1 << 16)
        except OSError:  # it died before it read our messages
            received = b""
        if not received:
            self.hung_up = True
            time.sleep(min(seconds, 0.05))  # its process will show that it is gone
            return []
        *lines, self.unread = (self.unread + received).split(b"\n")
        messages = [json.loads(line) for line in lines]
        for message in messages:
            if "ready" in message:
                self.ready, self.pid = True, int(message["ready"])
            if "pong" in message:
                self.unanswered = None
        return messages

    def stands_still(self, now: float, hang_seconds: float) -> str:
        """Why it counts as lost though its process exists; empty while it does not. `now` does not advance while we are
        stopped ourselves."""
        if self.pid and state_of(self.pid) == "T":
            self.stopped = now if self.stopped is None else self.stopped
        else:
            self.stopped = None
        if self.stopped is not None and now - self.stopped > hang_seconds / 3:
            return f"stands still for {now - self.stopped:.0f} s: it was stopped"
        if self.unanswered is not None and now - self.unanswered > hang_seconds:
            return f"has not answered for {now - self.unanswered:.0f} s"
        if self.ready and self.unanswered is None and now >= self.next_ping:
            self.next_ping, self.unanswered = now + SECONDS_BETWEEN_PINGS, now
            self.say({"ping": 1})
        return ""

    def end(self) -> None:
        """Kill it, and its ranks with it."""
        if self.pid and self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            deadline = time.monotonic() + SECONDS_TO_DIE
            while self.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)  # a spare is no Popen: there is nothing to wait on with a timeout
        self.connection.close()


@dataclass
class _Ending:
    """How a spare ended, which was not started as our child and became it."""

    server: ForkServer
    status: int | None = None

    def __call__(self) -> int | None:
        if self.status is None and self.server.pid:
            try:
                pid, status = os.waitpid(self.server.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.server.pid, signal.SIGKILL
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status


@dataclass
class Rank:
    """A rank's process, which is not our child: its handle never refers to a later process with the same number."""

    pid: int
    handle: int | None = field(init=False)

    def __post_init__(self) -> None:
        try:
            self.handle = os.pidfd_open(self.pid)
        except OSError:  # it has ended already
            self.handle = None

    def signal(self, number: int) -> None:
        """Send it a signal, if it still lives."""
        if self.handle is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self.handle, number)

    def gone(self) -> bool:
        """Whether it has ended."""
        if self.handle is None:
            return True
        poll = select.poll()
        poll.register(self.handle, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close the handle."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None


def kill_strays(session: int, known: Iterable[int]) -> None:
    """End what ranks have left behind: processes of the fork server's session that have become our children."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) in known:
            continue
        fields = stat_fields(folder)
        if fields and int(fields[1]) == os.getpid() and int(fields[3]) == session:
            with contextlib.suppress(OSError):
                os.kill(int(folder.name), signal.SIGKILL)
                os.waitpid(int(folder.name), os.WNOHANG)


def server_environment() -> dict[str, str]:
    """This process's environment without what other launchers left in it, and without idle thread pools."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ACCELERATE_", "FSDP_")) and key not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    }
    return {**inherited, **THREADS, **MEMORY, "OPENBLAS_NUM_THREADS": "1"}


def _deaf() -> None:
    """In the child before Python starts: srun signals every process of a step, but requests are passed on by us."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
