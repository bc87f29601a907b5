"""A request's body, within limits, and whether its client is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request

from launcher.serving.gate import Gate
from launcher.serving.limits import Limits
from launcher.serving.refusal import Refusal, too_busy


async def body_of(request: Request, gate: Gate) -> bytes:
    """Raises Refusal for one that is too large, too slow, or no JSON by its own account."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # a page of somebody else's could send any other without being asked
        do = "send the header Content-Type: application/json"
        raise Refusal(415, "not_json", "the body is not said to be JSON", param="Content-Type", do=do)
    limits, told = gate.limits, request.headers.get("content-length", "")
    if told.isdigit() and int(told[:20]) > limits.max_body:
        raise _too_large(limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.patience):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(499, "cancelled", "the client has gone")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                hold(request, gate, len(parts[-1]))
                if size > limits.max_body:
                    raise _too_large(limits)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        what = f"the body did not come within {limits.patience:g} s"
        raise Refusal(408, "too_slow", what, do="send it faster", headers={"Connection": "close"}) from None


def hold(request: Request, gate: Gate, size: int) -> None:
    """So many bytes more are in memory until the request is answered (`Door`). Raises Refusal for too many."""
    request.scope["held"] = request.scope.get("held", 0) + size
    gate.held += size
    if gate.held > max(gate.limits.held, gate.limits.max_body):
        raise too_busy("the requests that are being answered fill the memory that there is for them", 1)


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, "body_too_large", f"a request has {limits.max_body:,} bytes at most", do="send less at a time")


@asynccontextmanager
async def presence(request: Request) -> AsyncIterator[asyncio.Future[Any]]:
    """A future that is done once the client has gone. The body must have been read."""
    gone = asyncio.ensure_future(request.receive())
    try:
        yield gone
    finally:
        gone.cancel()
