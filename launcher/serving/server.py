"""uvicorn's server inside our own process: it ends with all answers out, and says so by status 0.

When it is told to end, readiness says no and each answer closes its connection, but requests are still taken for a
moment: whoever shares out the load sees the one, and clients come back elsewhere by the other. Then connections that
the kernel has accepted already are taken in, and the port is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Generator
from typing import Any

import uvicorn
from uvicorn.server import Server as Uvicorn

from launcher.serving.application import application
from launcher.serving.connection import kind_of
from launcher.serving.gate import Gate

BACKLOG = 1024


class Server(Uvicorn):
    """Of one gate."""

    def __init__(self, gate: Gate, token: str | None):
        self.gate, limits = gate, gate.limits
        super().__init__(
            uvicorn.Config(
                application(gate, token),
                http=kind_of(limits, gate.metrics),
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=max(1, int(limits.patience)),
                timeout_graceful_shutdown=limits.grace,
            )
        )
        self.cut = 0
        """Requests that were not answered when the time to end was over."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """uvicorn's own raises the signal again when all is done: a supervisor would see a server that was killed."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: Any) -> None:
        """End; at the second Ctrl-C at once."""
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is in flight."""
        self.gate.draining = True
        await asyncio.sleep(0 if self.force_exit else self.gate.limits.notice)
        await self._take_in(sockets or [])
        await super().shutdown([])
        self.cut = len(self.server_state.tasks)

    async def _take_in(self, sockets: list[socket.socket]) -> None:
        """Connections that wait for us in the kernel: to close the port would reset them."""
        loop, found = asyncio.get_running_loop(), []
        for listening in sockets:
            loop.remove_reader(listening.fileno())
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connection.setblocking(False)
                    found.append(connection)
        for server in self.servers:
            server.close()
        for connection in found:
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state={}
        )
        return made
