"""Being asked to stop: the first request saves a checkpoint and ends, the second kills, a third Ctrl-C just leaves."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, `kill`, and a terminal that was closed."""


@contextlib.contextmanager
def signals_put_back() -> Iterator[None]:
    """Whatever was done on these signals before is done on them again afterwards; for processes that go on."""
    before = {number: signal.getsignal(number) for number in ASKING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)


@contextlib.contextmanager
def interrupts_come_again() -> Iterator[None]:
    """Ctrl-C that came where Python cannot raise it is raised again as soon as it can.

    It is lost otherwise in finalizers, in callbacks of weak references, and as pydantic asks for the class of a value,
    which it does all the time while a recipe is read.
    """
    before = sys.unraisablehook

    def again(lost: Any) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            before(lost)
        elif number := next((number for number in ASKING if callable(signal.getsignal(number))), None):
            # not from here: this function's own end would be the next place where it is lost
            later = threading.Timer(0.01, signal.pthread_kill, [threading.main_thread().ident, number])
            later.daemon = True
            later.start()

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def heed(number: int, handler: Callable[[int, FrameType | None], object]) -> None:
    """Have this signal handled, unless it is ignored: whoever started us so (`nohup`, a shell's `&`) wants it so."""
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handler)


@dataclass
class StopRequests:
    """Counts the signals that ask to stop."""

    count: int = 0
    told: int = 0
    """How many have been answered."""

    def listen(self, numbers: Iterable[int] = ASKING) -> None:
        """Handle the signals from now on; they come to a process's first thread, and to no other."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in numbers:
            heed(number, self._heard)

    def __call__(self) -> int:
        """How many so far; who has asked is told that it was heard.

        Not in the handler: it may have come in the middle of another line.
        """
        before, self.told = self.told, self.count
        if self.told > before and before < 2:
            saving = "stopping: saving a checkpoint (once more to kill at once)"
            with contextlib.suppress(OSError, ValueError):
                print(f"\n{saving if self.told == 1 else 'killing'}", file=sys.stderr, flush=True)
        return self.told

    def _heard(self, number: int, frame: FrameType | None) -> None:
        """A terminal that is closed tells so more than once, and is nobody who grows impatient."""
        if number != signal.SIGHUP or not self.count:
            self.count += 1
        if number == signal.SIGINT and self.count > 2:
            raise KeyboardInterrupt
