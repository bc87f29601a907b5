"""The thread of one model: takes requests in, computes rows of several together, hands out answers.

A row is computed as soon as the thread is free: nothing waits for company. Under load company is there by itself. The
order is that of arrival, but for neighbours in length (`pool`): a batch of texts of all lengths is mostly padding,
which on a CPU costs more than a batch saves.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from launcher.errors import LauncherError, ran_out_of_memory
from launcher.serving.limits import Limits
from launcher.serving.metrics import Metrics
from launcher.serving.pool import Pool, Waiting
from launcher.serving.refusal import Refusal, too_busy
from launcher.serving.served import Served
from launcher.serving.work import Turn, Work

SHARE = 0.9
"""Of the deadline: who would have to wait longer is refused at once."""
MEMORY = 0.2
"""Weight of the newest batch in the mean time of a row."""


class Computing:
    """`offer` work on the event loop; it is settled there too."""

    def __init__(self, name: str, served: Served, limits: Limits, metrics: Metrics):
        self.name, self.served, self.limits = name, served, limits
        self.about = served.about
        self.pool = Pool(limits.batch_rows, limits.batch_tokens)
        self.news = threading.Condition()
        self.arrived: deque[Work] = deque()
        self.turns: deque[Work] = deque()
        """What is computed by itself: turns of conversations, requests to a model that writes."""
        self.waiting = 0
        """Places of the queue that are taken, the row being computed included."""
        self.pace = 0.0
        """Mean seconds of a row, the newest ones counting most; 0 before the first."""
        self.metrics = metrics
        self.counts = {
            "rows": metrics.rows.labels(name),
            "tokens": metrics.tokens.labels(name),
            "busy": metrics.busy.labels(name),
        }
        self.batch_rows = metrics.batch.labels(name)
        metrics.waiting.labels(name).set_function(lambda: self.waiting)
        self.loop = asyncio.get_running_loop()
        self.thread = threading.Thread(target=self._run, name=f"model {name}", daemon=True)
        self.thread.start()

    def offer(self, work: Work) -> None:
        """Take it into the queue. Raises Refusal where there is no room, or no time before its deadline."""
        with self.news:
            ahead, asked = self.waiting, work.waiting
            seconds = ahead * self.pace
            if ahead and ahead + asked > self.limits.queue:
                raise too_busy(f"{ahead:,} rows wait already", seconds)
            if ahead and seconds + asked * self.pace > SHARE * self.limits.deadline:
                what = f"{ahead:,} rows wait, which takes longer than a request has ({self.limits.deadline:g} s)"
                raise too_busy(what, seconds)
            self.waiting += asked
            self.arrived.append(work)
            self.news.notify()

    def drop(self, work: Work, why: str) -> None:
        """Nobody waits for it any more: what of it is not computed yet will not be."""
        with self.news:
            work.why_dropped = work.why_dropped or why
            self._gave_up(work)

    def _gave_up(self, work: Work) -> None:
        if work.waiting:
            self.metrics.dropped.labels(self.name, work.why_dropped).inc(work.waiting)
        self.waiting -= work.waiting
        work.waiting = 0

    def _run(self) -> None:
        while True:
            with self.news:
                self.news.wait_for(lambda: self.arrived or self.turns or self.pool)
                arrived, self.arrived = self.arrived, deque()
            began = time.perf_counter()
            for work in arrived:
                self._take_in(work)
            rows = 0
            if self.turns:
                rows += self._alone(self.turns.popleft())
            rows += self._together(self.pool.take())
            spent = time.perf_counter() - began
            self.counts["busy"].inc(spent)
            if rows:
                self.pace += (spent / rows - self.pace) * (MEMORY if self.pace else 1.0)

    def _take_in(self, work: Work) -> None:
        """Read its texts. What cannot be read is told, and the model goes on with the others."""
        if isinstance(work, Turn) or self.about.whole:
            self.turns.append(work)
            return
        if self._in_vain(work):
            return
        try:
            rows = self.served.read(work.texts)
        except Exception as error:
            self._fail(work, error)
            return
        work.tokens = sum(row.cost for row in rows)
        for place, row in enumerate(rows):
            self.pool.add(work, place, row)

    def _in_vain(self, work: Work) -> bool:
        if work.dropped():
            with self.news:
                self._gave_up(work)
        return bool(work.why_dropped)

    def _alone(self, work: Work) -> int:
        """A whole request by itself; how many rows that were."""
        if self._in_vain(work):
            return 0
        try:
            if isinstance(work, Turn):
                work.begun = True
                answers: Any = work.carry_out()
                work.tokens = sum(answers["tokens"])
            else:
                rows = self.served.read(work.texts)
                work.tokens = sum(row.cost for row in rows)
                answers = self.served.answer(rows)
        except Exception as error:
            self._fail(work, error)
            return work.missing or 1
        self._count(max(1, len(work.texts)), work.tokens)
        self._settle(work, answers)
        return max(1, len(work.texts))

    def _together(self, batch: list[Waiting]) -> int:
        if not batch:
            return 0
        try:
            answers = self.served.answer([waiting.row for waiting in batch])
            assert len(answers) == len(batch), f"{len(answers)} answers to {len(batch)} rows"
        except Exception as error:
            works = {id(waiting.work): waiting.work for waiting in batch}
            if len(works) == 1:
                self._fail(batch[0].work, error)
            else:  # one of them has what the model cannot take; the others need not know
                for work in works.values():
                    self._alone(work)
                    work.why_dropped = work.why_dropped or "answered"
            return len(batch)
        self._count(len(batch), sum(waiting.cost for waiting in batch))
        finished = []
        with self.news:
            for waiting, answer in zip(batch, answers, strict=True):
                work = waiting.work
                work.answers[waiting.place] = answer
                work.missing -= 1
                if work.waiting:
                    work.waiting -= 1
                    self.waiting -= 1
                if not work.missing:
                    finished.append(work)
        if finished:
            self._soon(_settle_all, finished)
        return len(batch)

    def _count(self, rows: int, tokens: int) -> None:
        self.counts["rows"].inc(rows)
        self.counts["tokens"].inc(tokens)
        self.batch_rows.observe(rows)

    def _settle(self, work: Work, answers: Any) -> None:
        with self.news:
            self.waiting -= work.waiting
            work.waiting = 0
        self._soon(work.settle, answers)

    def _soon(self, call: Callable[[Any], None], value: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all who wait
            self.loop.call_soon_threadsafe(call, value)

    def _fail(self, work: Work, error: Exception) -> None:
        if isinstance(error, LauncherError):
            told = Refusal.of(error)
        elif ran_out_of_memory(error):
            told = Refusal(507, "out_of_memory", "the machine has no memory left for this request", do="ask for less")
        else:
            traceback.print_exception(error)
            told = Refusal(500, "broken", "the model broke while it computed this; the server's log says where")
        work.why_dropped = work.why_dropped or "failed"
        self._settle(work, told)


def _settle_all(works: list[Work]) -> None:
    for work in works:
        work.settle(work.answers)
