"""A user's own tracker: `track(event, **options)` in their file, called with each event as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.recipe.tracker import CustomTracker
from launcher.training import user_code


class OwnFile:
    """CustomTracker at work."""

    def __init__(self, custom: CustomTracker, run: str):
        self.custom, self.run = custom, run

    def config(self, config: Mapping[str, Any]) -> None:
        """The first event: `{"kind": "start", "run", "config"}`."""
        self.event({"kind": "start", "config": dict(config)})

    def event(self, event: Mapping[str, Any]) -> None:
        """Each has its `kind` and the run's name; steps and evaluations are the lines of the run's files."""
        user_code.call(self.custom, {"run": self.run, **event})

    def close(self) -> None:
        """Nothing more is to be said."""
