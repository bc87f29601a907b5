"""Telling one tracker what a run reports: in order, each event once, also over several lives of the run.

How far it is is kept in the run's folder after each event, `tracking/NAME.json`. Only a process that is killed within
the very call leaves one event of which nobody knows whether it arrived: that one is told again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from launcher.json_files import text_of
from launcher.runs.feed import EVALUATION, STEP, Feed
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.runs.trackers import custom_of
from launcher.training.tracking.config import config_of, project_of
from launcher.training.tracking.own_file import OwnFile
from launcher.training.tracking.services import Place, Service

PAUSE = 0.5
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
END = "end"


@dataclass
class Sender:
    """`ended(seconds)` waits that long at most and says whether the run has ended; `warn` tells the user a line."""

    folder: RunFolder
    tracker: dict[str, Any]
    ended: Callable[[float], bool]
    warn: Callable[[str], None]

    def __post_init__(self) -> None:
        self.name = str(self.tracker["name"])
        self.path = self.folder.tracking / f"{self.name}.json"
        self.inode = self.folder.path.stat().st_ino
        self.state: dict[str, Any] = {"number": None, "config": False, "sent": {STEP: -1, EVALUATION: -1}, END: 0}
        self.state |= read_json(self.path) or {}
        self.place = Place(project_of(self.folder), self.folder.name, self.state["number"])
        self.counts = {STEP: 0, EVALUATION: 0, END: 0}
        self.failing = False
        self.at_work: Service | OwnFile

    def run(self) -> bool:
        """Tell it all until the run has ended; whether everything was told."""
        if not self._done(self._open):
            return False
        feed = Feed(self.folder, self.state["sent"])
        while True:
            over = self.ended(PAUSE)  # first: what was written before the end is then seen
            for event in feed.look():
                if not self._told(event):
                    return False
            if self.folder.path.stat().st_ino != self.inode:
                return False  # another run has taken its place
            if over:
                return self._end() and self._done(self.at_work.close)

    def _open(self) -> None:
        custom = custom_of(self.tracker)
        self.at_work = OwnFile(custom, self.folder.name) if custom else Service(self.name, self.place)
        if not self.state["config"]:
            self.state["number"] = self.place.number
            self._keep()
            self.at_work.config(config_of(self.folder))
            self.state["config"] = True
            self._keep()

    def _told(self, event: dict[str, Any]) -> bool:
        if not self._done(lambda: self.at_work.event(event)):
            return False
        self.state["sent"][event["kind"]] = event["step"]
        self.counts[event["kind"]] += 1
        self._keep()
        return True

    def _end(self) -> bool:
        """How the run ended, once for each attempt that did."""
        outcome, attempts = self.folder.ended(), self.folder.attempts()
        if outcome is None or not attempts or self.state[END] >= attempts[-1].number:
            return True
        told = {name: outcome.get(name) for name in ("status", "metrics", "selected_step")}
        event = {"kind": END, "step": outcome.get("steps", 0), "attempt": attempts[-1].number, **told}
        if not self._done(lambda: self.at_work.event(event)):
            return False
        self.state[END] = attempts[-1].number
        self.counts[END] += 1
        self._keep()
        return True

    def _done(self, work: Callable[[], None]) -> bool:
        """Do it, again and again while the run goes on; once more when it has ended; whether it went well."""
        wait, last = FIRST_WAIT, False
        while True:
            try:
                work()
            except (Exception, SystemExit) as error:
                if not self.failing:
                    first = next(iter(str(error).strip().splitlines()), "")
                    self.warn(f"{self.name} cannot be told: {type(error).__name__}: {first}"[:300])
                self.failing = True
            else:
                self.failing = False
                return True
            if last:
                return False
            last = self.ended(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _keep(self) -> None:
        scratch = self.path.with_name(f".{self.path.name}")
        scratch.write_text(text_of(self.state), encoding="utf-8")  # after every event: nobody waits for the disk
        scratch.replace(self.path)
