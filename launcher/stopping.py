"""Being asked to stop: the first request saves a checkpoint and ends, the second kills."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FrameType

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


@dataclass
class StopRequests:
    """Counts the signals that ask to stop."""

    count: int = 0

    def listen(self, numbers: Iterable[int] = ASKING) -> None:
        """Handle the signals from now on; they come to a process's first thread, and to no other."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in numbers:
            signal.signal(number, self._heard)

    def __call__(self) -> int:
        """How many so far."""
        return self.count

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        print(
            "\nstopping: saving a checkpoint (once more to kill at once)" if self.count == 1 else "\nkilling",
            file=sys.stderr,
            flush=True,
        )
