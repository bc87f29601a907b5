"""A rank that is asked to stop: it is noted, and obeyed between two steps."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopFlag:
    """Set by SIGTERM and SIGINT; read between steps."""

    raised: bool = False

    def listen(self) -> None:
        """Handle the signals from now on."""
        signal.signal(signal.SIGTERM, self._raise)
        signal.signal(signal.SIGINT, self._raise)

    def __call__(self) -> bool:
        """Whether one has come."""
        return self.raised

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.raised = True
