"""A rank that is asked to stop: it is noted, and obeyed between two steps."""

from __future__ import annotations

from dataclasses import dataclass
from types import FrameType

from launcher.host.stop_requests import ASKING, heed


@dataclass
class StopFlag:
    """Set by what asks to stop, also by a terminal that is closed over ranks started by hand; read between steps."""

    raised: bool = False

    def listen(self) -> None:
        """Handle the signals from now on."""
        for number in ASKING:
            heed(number, self._raise)

    def __call__(self) -> bool:
        """Whether one has come."""
        return self.raised

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.raised = True
