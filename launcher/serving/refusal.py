"""What a client is told instead of an answer, in one shape: that of OpenAI's API, which its clients show.

    {"error": {"message", "type", "code", "param"}}

`message` says what is wrong and what to do, `param` where in the request, `code` is one word for programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from launcher.errors import LauncherError, Problem

JSON = (b"content-type", b"application/json")
TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 503: "overloaded_error"}
MOST_TOLD = 5
"""Problems of one request that are told."""


class Refusal(Exception):
    """An answer of status 400 or above."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        do: str = "",
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.code, self.message, self.param, self.do = status, code, message, param, do
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, error: LauncherError, param: str | None = None) -> Refusal:
        """A request that the model cannot take, in the words that `launcher predict` has for it."""
        return cls.of_problems(error.problems, param)

    @classmethod
    def of_problems(cls, problems: list[Problem], param: str | None = None, code: str = "invalid_value") -> Refusal:
        """All that is wrong with a request, at once."""
        told = [f"{problem.what} ({problem.where})" if problem.where else problem.what for problem in problems]
        more = [f"and {len(told) - MOST_TOLD:,} more"] if len(told) > MOST_TOLD else []
        do = "; ".join(dict.fromkeys(problem.do for problem in problems if problem.do))
        return cls(400, code, "; ".join([*told[:MOST_TOLD], *more]), param=param, do=do)

    def document(self) -> dict[str, Any]:
        """As JSON carries it."""
        kind = TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        message = f"{self.message}; {self.do}" if self.do else self.message
        return {"error": {"message": message, "type": kind, "code": self.code, "param": self.param}}

    def body(self) -> bytes:
        """The same in bytes."""
        return to_json(self.document())

    def wire(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Headers and body."""
        body = self.body()
        named = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        return [JSON, (b"content-length", str(len(body)).encode()), *named], body


def too_busy(message: str, seconds: float) -> Refusal:
    """503, and after how many seconds to try again."""
    after = str(max(1, min(600, round(seconds))))
    return Refusal(503, "too_busy", message, do=f"try again in {after} s", headers={"Retry-After": after})
