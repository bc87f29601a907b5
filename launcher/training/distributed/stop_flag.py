"""Requests to stop a rank: they are noted, and obeyed between two steps."""

from __future__ import annotations

from dataclasses import dataclass
from types import FrameType

from launcher.host.stop_requests import ASKING, heed


@dataclass
class StopFlag:
    """Set by signals that stop a run, also when the terminal of ranks started by hand is closed; read between steps."""

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
