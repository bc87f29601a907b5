"""Requests to stop: the first saves a checkpoint and ends, the second kills, a third Ctrl-C leaves at once."""

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
    """Restore the handlers of these signals afterwards, for processes that go on."""
    before = {number: signal.getsignal(number) for number in ASKING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)


@contextlib.contextmanager
def interrupts_come_again() -> Iterator[None]:
    """Ctrl-C that comes where Python cannot raise it is raised again as soon as possible.

    Otherwise it is lost in finalizers, in callbacks of weak references, and while pydantic looks up the class of a
    value, which it does all the time while a recipe is read.
    """
    before = sys.unraisablehook

    def again(lost: Any) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            before(lost)
        elif number := next((number for number in ASKING if callable(signal.getsignal(number))), None):
            # not from here: it would be lost again at the end of this function
            later = threading.Timer(0.01, signal.pthread_kill, [threading.main_thread().ident, number])
            later.daemon = True
            later.start()

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def heed(number: int, handler: Callable[[int, FrameType | None], object]) -> None:
    """Install a handler for this signal, unless it is ignored: `nohup` or a shell's `&` ignore it on purpose."""
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handler)


@dataclass
class StopRequests:
    """Counts the signals that ask to stop."""

    count: int = 0
    answered: int = 0
    """How many have been acknowledged on stderr."""

    def listen(self, numbers: Iterable[int] = ASKING) -> None:
        """Handle the signals from now on; they come to a process's first thread, and to no other."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in numbers:
            heed(number, self._heard)

    def __call__(self) -> int:
        """How many so far; each new one is acknowledged with a line.

        Not in the handler: it may have come in the middle of another line.
        """
        before, self.answered = self.answered, self.count
        if self.answered > before and before < 2:
            saving = "stopping: saving a checkpoint (once more to kill at once)"
            with contextlib.suppress(OSError, ValueError):
                print(f"\n{saving if self.answered == 1 else 'killing'}", file=sys.stderr, flush=True)
        return self.answered

    def _heard(self, number: int, frame: FrameType | None) -> None:
        """Count the signal. A closed terminal sends SIGHUP more than once, which is no second request."""
        if number != signal.SIGHUP or not self.count:
            self.count += 1
        if number == signal.SIGINT and self.count > 2:
            raise KeyboardInterrupt
