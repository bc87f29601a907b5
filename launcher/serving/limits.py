"""What one server takes on: how much at a time, how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Of one server, as `launcher serve` is told them."""

    deadline: float = 30.0
    """Seconds in which a request is answered, or refused."""
    queue: int = 1024
    """Rows that may wait, for each model."""
    batch_rows: int = 16
    """Rows that are computed together, at most."""
    batch_tokens: int = 4096
    """Tokens that are computed together at most, padding included; a row that is longer is computed alone."""
    max_rows: int = 256
    """Rows of a request."""
    max_characters: int = 100_000
    """Characters of a text."""
    max_body: int = 4 * 2**20
    """Bytes of a request."""
    held: int = 256 * 2**20
    """Bytes of all requests that are being answered; what comes beyond is refused."""
    grace: int = 60
    """Seconds that what is in flight has to end, once the server is told to."""
    connections: int = 800
    """Open at a time; more are refused."""
    patience: float = 10.0
    """Seconds in which a client has to send its request, and to take what it is sent."""
    notice: float = 0.25
    """Seconds in which readiness says no and requests are still taken, before the port is closed."""
