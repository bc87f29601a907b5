"""The fork server: one process a node that imports the heavy wing once and forks the ranks from it.

Imports are 50-75 % of the time to the first step; forked ranks do not pay them again, and share their
memory. The fork server never initialises CUDA, a thread pool or a process group before it forks
(docs/decisions/003-nursery.md).

It speaks JSON lines over one socket with `launcher.launch.node`:

    <- {"fork": [{"rank": 0, "environment": {…}, "log": "…", "arguments": {…}}, …]}
    <- {"ping": 1}        <- {"spare": 42} and a socket: fork a copy of yourself for process 42
    -> {"ready": 120}     -> {"pong": 1}
    -> {"started": 0, "pid": 123}    -> {"ended": 0, "status": -9, "time": …}

When the socket closes or the node dies, everything here dies too. Signals the node sends to the ranks itself.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
from typing import Any

from launcher import streams
from launcher.host.processes import die_with_parent
from launcher.worker.rank import import_heavy, train_rank


class ForkServer:
    """Forks ranks, reports their ends, copies itself."""

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self.ranks: dict[int, int] = {}
        self.unread = b""
        self.copied: socket.socket | None = None
        """In a copy: its own socket to the node."""

    def serve(self) -> socket.socket | None:
        """Answer until the other side closes the socket; then end every rank.

        In a copy of this process it returns at once, with the socket that the copy is to serve.
        """
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        selector = selectors.DefaultSelector()
        selector.register(self.connection, selectors.EVENT_READ)
        selector.register(wake_read, selectors.EVENT_READ)
        self.say({"ready": os.getpid()})
        while self.copied is None:
            for key, _ in selector.select():
                if key.fileobj is self.connection:
                    if not self.listen():
                        for pid in self.ranks:
                            os.kill(pid, signal.SIGKILL)
                        return None
                else:
                    with contextlib.suppress(BlockingIOError):  # a copy has read it
                        os.read(wake_read, 4096)
            self.reap()
        signal.set_wakeup_fd(-1)
        for descriptor in (wake_read, wake_write):
            os.close(descriptor)
        selector.close()
        self.connection.close()
        return self.copied

    def listen(self) -> bool:
        """Carry out what has come in; False once the socket is closed."""
        try:
            received, sockets, _, _ = socket.recv_fds(self.connection, 1 << 16, 1)
        except ConnectionResetError:
            return False
        if not received:
            return False
        *lines, self.unread = (self.unread + received).split(b"\n")
        for line in lines:
            message = json.loads(line)
            for rank in message.get("fork", ()):
                self.fork(rank)
            if "ping" in message:
                self.say({"pong": message["ping"]})
            if "spare" in message and sockets:
                self.copy(int(message["spare"]), socket.socket(fileno=sockets[0]))
        return True

    def copy(self, node: int, line: socket.socket) -> None:
        """Fork a copy of this process that does not die with it, but with the node, which adopts it."""
        between = os.fork()
        if between:
            line.close()
            os.waitpid(between, 0)
            return
        between = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == between:
            time.sleep(0.001)  # nothing signals that the node has adopted this process
        die_with_parent(node)
        self.ranks, self.copied = {}, line  # what its twin has forked is none of its own

    def fork(self, rank: dict[str, Any]) -> None:
        """Start one rank."""
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGCHLD, signal.SIGTERM):  # until it saves, a signal simply ends a rank
                    signal.signal(number, signal.SIG_DFL)
                self.connection.close()
                die_with_parent(parent)
                code = _be_rank(rank)
            finally:
                with contextlib.suppress(OSError):  # a full disk
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(code)  # no interpreter teardown: it hung gloo's threads (findings in decision 003)
        self.ranks[pid] = int(rank["rank"])
        self.say({"started": rank["rank"], "pid": pid})

    def reap(self) -> None:
        """Report the ranks that have ended."""
        while self.ranks:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            rank = self.ranks.pop(pid, None)
            if rank is not None:
                ended = {"ended": rank, "status": os.waitstatus_to_exitcode(status), "time": time.time()}
                self.say(ended)

    def say(self, message: dict[str, Any]) -> None:
        """Send one line; where the other side is gone, `serve` notices when it next listens."""
        with contextlib.suppress(OSError):
            self.connection.sendall(json.dumps(message).encode() + b"\n")


def _be_rank(rank: dict[str, Any]) -> int:
    """In the forked child: output into the rank's log, its environment, then the worker."""
    log = os.open(rank["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(rank["environment"])

    return train_rank(**rank["arguments"])


def main() -> None:
    """`python -m launcher.worker.fork_server FD PARENT [MODULE …]`: import the heavy wing, then serve."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    streams.be_patient("utf-8")  # as the ranks' logs are read
    # Slurm signals every process of a job; ignored here, because the agent (`launch.agent`) passes them to the ranks
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    import_heavy(sys.argv[3:])
    gc.freeze()  # a collection in a rank would copy every page that it shares with us
    line: socket.socket | None = socket.socket(fileno=descriptor)
    while line is not None:
        line = ForkServer(line).serve()


if __name__ == "__main__":
    main()
