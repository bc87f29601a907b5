"""What every request passes first and last: who may come in, what is counted, and errors in one shape.

A server on loopback without a token must not be asked by foreign pages that a browser of this machine shows. Such
a page can send requests here, though it cannot read the answers unless its name is made to lead here (DNS rebinding):
so the name in `Host` must be one of loopback, and a body must say that it is JSON, which such a page may not send.
"""

from __future__ import annotations

import hmac
import re
import time
import traceback
from typing import Any

from launcher.serving.gate import Gate
from launcher.serving.refusal import Refusal

LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")
OPEN = ("/", "/page.js", "/page.css", "/health/live", "/health/ready")
"""What needs no token: the page has a place to type it."""
ROUTES = (*OPEN, "/v1/predict", "/v1/embeddings", "/v1/chat/completions", "/v1/models", "/metrics", "/openapi.json")
CLOSE = (b"connection", b"close")


class Door:
    """An ASGI application around another one."""

    def __init__(self, app: Any, gate: Gate, token: bytes | None):
        self.app, self.gate, self.token = app, gate, token
        self.seconds = {route: gate.metrics.seconds.labels(route) for route in ROUTES}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        began, status = time.perf_counter(), 0

        async def counted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.gate.draining:
                    message["headers"] = [*message["headers"], CLOSE]
            await send(message)

        try:
            self._refuse(scope)
            await self.app(scope, receive, counted)
        except Refusal as refusal:
            await refuse(refusal, counted)
        except Exception as error:
            traceback.print_exception(error)
            if not status:
                await refuse(Refusal(500, "broken", "the server broke; its log says where"), counted)
        finally:
            self.gate.held -= scope.get("held", 0)
            route = scope["path"] if scope["path"] in self.seconds else "other"
            self.gate.metrics.requests.labels(route, str(status)).inc()
            if route in self.seconds:
                self.seconds[route].observe(time.perf_counter() - began)

    def _refuse(self, scope: Any) -> None:
        """Raise Refusal for who may not come in."""
        headers = dict(scope["headers"])
        if self.token is None:
            name = headers.get(b"host", b"localhost").decode("latin-1").lower()
            name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
            if not LOOPBACK.fullmatch(name):
                do = "call it localhost or 127.0.0.1; a server for others has a --host and a token"
                raise Refusal(403, "wrong_host", "this server is for this machine alone", param="Host", do=do)
        elif scope["path"] not in OPEN:
            scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self.token):
                do = "send the header Authorization: Bearer TOKEN"
                headers_too = {"WWW-Authenticate": "Bearer"}
                raise Refusal(401, "no_token", "the token is missing or wrong", do=do, headers=headers_too)


async def refuse(refusal: Refusal, send: Any) -> None:
    """The whole answer."""
    headers, body = refusal.wire()
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
