"""JSON lines over one socket between two machines of a run; a machine that is gone is noticed within seconds.

The kernel probes a silent machine (TCP keep-alive), so a pulled cable ends a run and not only a dead process. What
comes in is data and nothing else: a line that is no JSON object, or that never ends, closes the connection.
"""

from __future__ import annotations

import json
import select
import socket
import time
from dataclasses import dataclass
from typing import Any

LONGEST = 1 << 20
"""Bytes of a line; ours are far shorter."""
SECONDS_OF_SILENCE = 15
"""A machine that the kernel cannot reach for longer is taken for lost."""


@dataclass
class Channel:
    """One end of the line."""

    connection: socket.socket
    unread: bytes = b""
    lost: str = ""
    """Why the connection is lost; empty while it is not."""

    def __post_init__(self) -> None:
        self.connection.setblocking(True)
        self.connection.settimeout(SECONDS_OF_SILENCE)  # a write to a machine that takes nothing more
        settings = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3}
        settings["TCP_USER_TIMEOUT"] = SECONDS_OF_SILENCE * 1000
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in settings.items():
            self.connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def say(self, message: dict[str, Any]) -> None:
        """Send one line; where the other side is gone, `lost` says so from then on."""
        try:
            self.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            self.lost = self.lost or _why(error)

    def heard(self, seconds: float = 0.0) -> list[dict[str, Any]]:
        """The messages that have come in, after a wait of at most so many seconds."""
        if self.lost:
            time.sleep(seconds)  # the callers poll: a lost connection must not make them spin
            return []
        readable, _, _ = select.select([self.connection], [], [], seconds)
        if not readable:
            return []
        try:
            received = self.connection.recv(1 << 16)
        except OSError as error:
            self.lost = _why(error)
            return []
        if not received:
            self.lost = "it has ended"
        *lines, self.unread = (self.unread + received).split(b"\n")
        if len(self.unread) > LONGEST:
            self.lost, self.unread = "it sends what is no message of ours", b""
        return [message for line in lines if (message := self._message(line)) is not None]

    def close(self) -> None:
        """Hang up."""
        self.connection.close()
        self.lost = self.lost or "it was hung up"

    def _message(self, line: bytes) -> dict[str, Any] | None:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if isinstance(message, dict):
            return message
        self.lost = "it sends what is no message of ours"
        return None


def _why(error: OSError) -> str:
    return str(error.strerror or error).lower()
