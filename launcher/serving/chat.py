"""Turns of conversations: what a request sets, where a text stops, and the stream of its pieces."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

from launcher.serving.asked import AskedToChat
from launcher.serving.computing import Computing
from launcher.serving.gate import Gate
from launcher.serving.refusal import Refusal
from launcher.serving.wire import END, Completion, event, reason
from launcher.serving.work import Turn

ONE_BEAM = {"num_beams": "1", "length_penalty": "1", "early_stopping": "false"}
BY_CHANCE = {"temperature": "1", "top_p": "1", "top_k": "0", "min_p": "0"}


def settings_of(asked: AskedToChat) -> dict[str, str]:
    """In the words of `Generation`. What is not asked for stays as the recipe has it."""
    sets: dict[str, str] = {}
    draws = asked.temperature or (asked.temperature is None and asked.top_p is not None and asked.top_p < 1)
    if draws:
        sets |= {"do_sample": "true", **ONE_BEAM, "seed": str(secrets.randbits(32))}
    elif asked.temperature == 0:
        sets |= {"do_sample": "false", **BY_CHANCE}
    if asked.temperature:
        sets["temperature"] = repr(asked.temperature)
    if asked.top_p is not None and draws:
        sets["top_p"] = repr(asked.top_p)
    if asked.seed is not None:
        sets["seed"] = str(asked.seed)
    most = asked.max_completion_tokens or asked.max_tokens
    if most is not None:
        sets |= {"max_new_tokens": str(min(most, 2**20)), "min_new_tokens": "0"}
    return sets


def messages_of(asked: AskedToChat) -> list[dict[str, str]]:
    """As the model takes them. Raises Refusal where nobody is to be answered."""
    messages = [
        {"role": "system" if said.role == "developer" else said.role, "content": said.text()} for said in asked.messages
    ]
    if messages[-1]["role"] != "user":
        what = f"the last message is of the {messages[-1]['role']}, so that there is nobody to answer"
        raise Refusal(400, "invalid_value", what, param="messages", do="end with a message of the user")
    return messages


class Until:
    """Passes pieces of a text on until one of these words: what may be the beginning of one is held back."""

    def __init__(self, words: list[str], say: Callable[[str], None]):
        self.words, self.say = [word for word in words if word], say
        self.held, self.said, self.over = "", "", False

    def __call__(self, piece: str) -> None:
        """A piece, of which as much is passed on as cannot belong to such a word."""
        if self.over:
            return
        self.held += piece
        ends = [at for at in (self.held.find(word) for word in self.words) if at >= 0]
        if ends:
            self.over = True
            self._pass(min(ends))
            return
        back = max((n for word in self.words for n in range(1, len(word)) if self.held.endswith(word[:n])), default=0)
        self._pass(len(self.held) - back)

    def _pass(self, count: int) -> None:
        piece, self.held = self.held[:count], self.held[count:]
        if piece:
            self.said += piece
            self.say(piece)

    def end(self) -> None:
        """No more comes: what was held back belongs to the text."""
        if not self.over:
            self._pass(len(self.held))


class Spoken:
    """One turn that is asked of a model. Its pieces come through a queue, which None ends."""

    def __init__(self, gate: Gate, model: Computing, asked: AskedToChat):
        self.gate, self.model = gate, model
        self.settings, self.messages = settings_of(asked), messages_of(asked)
        gate.check_lengths([message["content"] for message in self.messages], "messages")
        self.words = [asked.stop] if isinstance(asked.stop, str) else list(asked.stop or ())
        self.pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()
        self.work = Turn(self._carry_out, gate.limits.deadline)
        self.work.done.add_done_callback(lambda _: self.pieces.put_nowait(None))
        model.offer(self.work)

    def _carry_out(self) -> dict[str, Any]:
        """In the model's thread."""

        def say(piece: str) -> None:
            self.loop.call_soon_threadsafe(self.pieces.put_nowait, piece)

        def stopped() -> bool:
            return until.over or bool(self.work.why_dropped)

        until = Until(self.words, say)
        done = self.model.served.reply(self.messages, self.settings, until, stopped)
        until.end()
        if until.over:
            done.pop("unfinished", None)
        return {**done, "text": until.said} if self.words else done

    async def done(self, gone: asyncio.Future[Any]) -> dict[str, Any]:
        """What is said of the whole. Raises Refusal."""
        told: dict[str, Any] = await self.gate.settled(self.model, self.work, gone)
        return told

    async def first(self, gone: asyncio.Future[Any]) -> str | None:
        """The first piece, so that what is refused is refused before the stream begins. Raises Refusal."""
        piece = asyncio.ensure_future(self.pieces.get())
        try:
            await self.gate.wait_for(piece, self.work, gone)
        finally:
            if not piece.done():
                piece.cancel()
                self.model.drop(self.work, "cancelled" if gone.done() else "deadline")
        if not piece.done() or piece.result() is None:
            await self.done(gone)
            return None
        return piece.result()

    async def stream(self, first: str | None, completion: Completion, with_usage: bool) -> AsyncIterator[bytes]:
        """The events of the turn."""
        gone: asyncio.Future[Any] = self.loop.create_future()
        try:
            yield completion.chunk({"role": "assistant", "content": ""})
            piece = first
            while piece is not None:
                yield completion.chunk({"content": piece})
                piece = await self.pieces.get()
            try:
                done = await self.done(gone)
            except Refusal as refusal:
                yield event(refusal.document())
                return
            yield completion.chunk({}, reason(done))
            if with_usage:
                yield completion.used(done["tokens"])
            yield END
        finally:
            if not self.work.done.done():
                self.model.drop(self.work, "cancelled")
