"""A request on its way through the queue of a model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from launcher.serving.served import Text


class Work:
    """Texts to be answered. The event loop makes it and waits for `done`; the model's thread fills in the answers."""

    def __init__(self, texts: Sequence[Text], deadline: float):
        self.texts = texts
        self.deadline = time.monotonic() + deadline
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.answers: list[dict[str, Any] | None] = [None] * len(texts)
        self.tokens = 0
        """What its rows cost together."""
        self.missing = len(texts)
        """How many have no answer yet."""
        self.waiting = max(1, len(texts))
        """How many places of the queue it takes."""
        self.begun = False
        """Whether it is a turn that is being said: the deadline is over then."""
        self.why_dropped = ""
        """Why nobody waits for it any more."""

    def dropped(self) -> bool:
        """Whether to compute it would be in vain."""
        if not self.why_dropped and time.monotonic() > self.deadline:
            self.why_dropped = "deadline"
        return bool(self.why_dropped)

    def settle(self, answers: Any) -> None:
        """On the event loop: here they are, or why there are none."""
        if not self.done.done():
            if isinstance(answers, BaseException):
                self.done.set_exception(answers)
            else:
                self.done.set_result(answers)


class Turn(Work):
    """A turn of a conversation: `carry_out` in the model's thread says it piece by piece, and returns what is done."""

    def __init__(self, carry_out: Callable[[], dict[str, Any]], deadline: float):
        super().__init__((), deadline)
        self.carry_out = carry_out
