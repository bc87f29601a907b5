"""What a server has: its models by name, its limits, what it counts, and whether it takes requests."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from launcher.errors import did_you_mean
from launcher.serving.computing import Computing
from launcher.serving.limits import Limits
from launcher.serving.metrics import Metrics
from launcher.serving.refusal import Refusal, too_busy
from launcher.serving.served import Served, Text
from launcher.serving.work import Work

SECONDS_TO_LOAD = 5.0
"""What `Retry-After` says while models are read."""


class Gate:
    """Made on the event loop; `open` once the models are there."""

    def __init__(self, limits: Limits, version: str):
        self.limits, self.version = limits, version
        self.metrics = Metrics()
        self.models: dict[str, Computing] = {}
        self.ready = False
        self.draining = False
        self.held = 0
        """Bytes of the requests that are being answered."""
        self.since = int(time.time())

    def open(self, served: dict[str, Served]) -> None:
        """From now on requests are taken."""
        self.models = {name: Computing(name, each, self.limits, self.metrics) for name, each in served.items()}
        self.ready = True

    def refuse_unready(self) -> None:
        """Raise Refusal while models are read."""
        if not self.ready:
            raise too_busy("the models are being read", SECONDS_TO_LOAD)

    def model(self, name: str | None, endpoint: str) -> Computing:
        """The model that is asked. Raises Refusal where it is none of ours, or has no such endpoint."""
        self.refuse_unready()
        if name is None:
            fitting = [each for each in self.models.values() if endpoint in each.about.endpoints]
            if len(fitting) != 1 and len(self.models) != 1:
                do = f"known: {', '.join(self.models)}"
                raise Refusal(400, "invalid_request", "several models are here: say which", param="model", do=do)
            return self._with(fitting[0] if fitting else next(iter(self.models.values())), endpoint)
        if name not in self.models:
            do = did_you_mean(name, self.models)
            raise Refusal(404, "model_not_found", "there is no model of that name", param="model", do=do)
        return self._with(self.models[name], endpoint)

    def _with(self, model: Computing, endpoint: str) -> Computing:
        if endpoint not in model.about.endpoints:
            what = f"the model {model.name} is of {model.about.task}, which does not answer here"
            do = f"ask it at {', '.join(model.about.endpoints)}"
            raise Refusal(400, "wrong_endpoint", what, param="model", do=do)
        return model

    def check(self, texts: list[Text], param: str, characters: int | None = None) -> None:
        """Raise Refusal for more rows, or longer ones, than a request may have, and for none."""
        if not texts:
            raise Refusal(400, "invalid_value", "there is nothing to answer", param=param, do="give one text at least")
        if len(texts) > self.limits.max_rows:
            what = f"{len(texts):,} rows, and a request has {self.limits.max_rows:,} at most"
            raise Refusal(413, "too_many_rows", what, param=param, do="send several requests")
        self.check_lengths(texts, param, characters)

    def check_lengths(self, texts: list[Text], param: str, characters: int | None = None) -> None:
        """Raise Refusal for a text that is longer than one may be."""
        most = characters or self.limits.max_characters
        for place, text in enumerate(texts):
            length = len(text) if isinstance(text, str) else len(text[0]) + len(text[1])
            if length > most:
                what = f"a text of {length:,} characters, and {most:,} are taken at most"
                raise Refusal(413, "text_too_long", what, param=f"{param}[{place}]", do="cut it")

    async def answers(
        self, model: Computing, texts: list[Text], gone: asyncio.Future[Any]
    ) -> tuple[list[dict[str, Any]], int]:
        """An answer to each, and how many tokens they were. Raises Refusal; `gone` is done when the client has gone."""
        work = Work(texts, self.limits.deadline)
        model.offer(work)
        return await self.settled(model, work, gone), work.tokens

    async def settled(self, model: Computing, work: Work, gone: asyncio.Future[Any]) -> Any:
        """What the work was settled with. Raises Refusal."""
        try:
            await self.wait_for(work.done, work, gone)
        finally:
            if not work.done.done():
                model.drop(work, "cancelled" if gone.done() else "deadline")
        if work.done.done():
            told = work.done.result()
            if isinstance(told, Refusal):
                raise told
            return told
        if gone.done():
            raise Refusal(499, "cancelled", "the client has gone")
        what = f"it could not be answered within {self.limits.deadline:g} s"
        raise Refusal(504, "deadline", what, do="send less at a time, or try again later")

    async def wait_for(self, what: asyncio.Future[Any], work: Work, gone: asyncio.Future[Any]) -> None:
        """Until it is there, the client has gone, or the deadline is over; a turn that is being said is waited for."""
        while not (what.done() or gone.done()):
            left = None if work.begun else work.deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            await asyncio.wait({what, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
