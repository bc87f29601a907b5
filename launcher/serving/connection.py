"""One connection: who sends nothing, or takes nothing, does not keep it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from launcher.serving.limits import Limits
from launcher.serving.metrics import Metrics
from launcher.serving.refusal import Refusal, too_busy

YOUNG = 0.5
"""Seconds that a connection without a request yet has for one, when the server ends."""


class Connection(H11Protocol):
    """uvicorn has no limit on the time in which headers come, and none on the time in which an answer is taken."""

    limits: Limits
    metrics: Metrics
    asked = False
    """Whether a request has come, ever."""
    until_sent: asyncio.TimerHandle | None = None
    until_taken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        # asyncio does it only where the socket that listened says TCP by its number; without it an answer waits 40 ms
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.metrics.connections.set(len(self.connections))
        if len(self.connections) > self.limits.connections:
            self._answer(too_busy("too many connections are open", 1))
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all clocks."""
        super().connection_lost(exc)
        self.metrics.connections.set(len(self.connections))
        for clock in (self.until_sent, self.until_taken):
            if clock is not None:
                clock.cancel()

    def data_received(self, data: bytes) -> None:
        """Part of a request, or all of it."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._watch()

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        """While no request is being answered one must come, headers and all, in time."""
        if self._busy():
            self.asked = True
            if self.until_sent is not None:
                self.until_sent.cancel()
                self.until_sent = None
        elif self.until_sent is None:
            self.until_sent = self.loop.call_later(self.limits.patience, self._too_slow)

    def _too_slow(self) -> None:
        self.until_sent = None
        if self.transport.is_closing() or self._busy():
            return
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._answer(Refusal(408, "too_slow", "the request did not come in time", do="send it faster"))
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        """The client takes nothing more for now."""
        super().pause_writing()
        self.until_taken = self.loop.call_later(self.limits.patience, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        if self.until_taken is not None:
            self.until_taken.cancel()
            self.until_taken = None

    def shutdown(self) -> None:
        """The server ends. Who has only just come in may still ask."""
        if not self.asked and not self.transport.is_closing():
            self.loop.call_later(YOUNG, self._end)
            return
        super().shutdown()
        if self.transport.is_closing():  # it may never take what it was sent last
            self.loop.call_later(self.limits.patience, self.transport.abort)

    def _end(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so in our shape."""
        self._answer(Refusal(400, "invalid_http", "this is no HTTP request that is understood here"))

    def _answer(self, refusal: Refusal) -> None:
        """Without the application; then the connection ends."""
        headers, body = refusal.wire()
        lines: list[Any] = [*headers, (b"connection", b"close")]
        try:
            told = self.conn.send(h11.Response(status_code=refusal.status, headers=lines)) or b""
            told += self.conn.send(h11.Data(data=body)) or b""
            told += self.conn.send(h11.EndOfMessage()) or b""
            self.transport.write(told)
        except h11.LocalProtocolError:  # an answer has begun already
            pass
        self.transport.close()


def kind_of(limits: Limits, metrics: Metrics) -> type[Connection]:
    """The class for uvicorn, which makes its objects itself."""
    return type("OurConnection", (Connection,), {"limits": limits, "metrics": metrics})
