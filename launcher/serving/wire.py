"""Answers in the forms of OpenAI's API."""

from __future__ import annotations

import base64
import secrets
import struct
import time
from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json


def models(named: dict[str, Any], since: int) -> dict[str, Any]:
    """`GET /v1/models`, and of each model what it is of ours."""
    return {"object": "list", "data": [model(name, about, since) for name, about in named.items()]}


def model(name: str, about: Any, since: int) -> dict[str, Any]:
    """One of them."""
    own = {"task": about.task, "labels": about.labels, "takes": about.takes, "endpoints": about.endpoints}
    return {"id": name, "object": "model", "created": since, "owned_by": "recipe-launcher", **own}


def embeddings(name: str, vectors: Sequence[Sequence[float]], tokens: int, packed: bool) -> dict[str, Any]:
    """`POST /v1/embeddings`; `packed` are base64 of float32, little-endian, as OpenAI's own client asks for them."""
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if packed else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": name, "data": data, "usage": usage}


def usage(tokens: Sequence[int]) -> dict[str, int]:
    """Of `[asked, written]`."""
    asked, written = tokens
    return {"prompt_tokens": asked, "completion_tokens": written, "total_tokens": asked + written}


class Completion:
    """The forms of one turn: whole, or in chunks."""

    def __init__(self, name: str):
        self.common = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": name}

    def whole(self, done: dict[str, Any]) -> dict[str, Any]:
        """All of it at once."""
        message = {"role": "assistant", "content": done["text"]}
        choice = {"index": 0, "message": message, "finish_reason": reason(done), "logprobs": None}
        own = {"left_out": done["left_out"]}
        return {**self.common, "object": "chat.completion", "choices": [choice], "usage": usage(done["tokens"]), **own}

    def chunk(self, delta: dict[str, Any], ended: str | None = None) -> bytes:
        """One event of a stream."""
        choice = {"index": 0, "delta": delta, "finish_reason": ended, "logprobs": None}
        return event({**self.common, "object": "chat.completion.chunk", "choices": [choice]})

    def used(self, tokens: Sequence[int]) -> bytes:
        """The event that says how many tokens there were."""
        return event({**self.common, "object": "chat.completion.chunk", "choices": [], "usage": usage(tokens)})


def reason(done: dict[str, Any]) -> str:
    """Why a text ended."""
    return "length" if done.get("unfinished") else "stop"


def event(value: Any) -> bytes:
    """A server-sent event."""
    return b"data: " + to_json(value) + b"\n\n"


END = b"data: [DONE]\n\n"
