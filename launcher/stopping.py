"""Being asked to stop: the first request saves a checkpoint and ends, the second kills."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, `kill`, and a terminal that was closed."""


@dataclass
class StopRequests:
    """Counts the signals that ask to stop."""

    count: int = 0

    def listen(self, numbers: Iterable[int] = ASKING) -> None:
        """Handle the signals from now on."""
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
