"""Ranks that make no progress any more, as distinct from those that are slow, and from those that only wait for them.

A rank hangs when it has made no progress for `--hang-seconds`, and for ten times as long as it ever took in the same
stage. What it does meanwhile decides whether it gets more time (docs/decisions/018-hangs.md):

- a rank whose process was stopped by a signal is recognised by that, whatever it did;
- a rank that waits for others is their victim: it is not to blame as long as one of them is;
- bytes that it reads and writes, and a thread that waits for a device, are progress;
- where the usual time of a stage is not known yet, only a rank that is in Python code, and that others have waited for
  just as long, counts as hung so soon; all others get ten times as long.

`Judge` is a function of the signs that it is given and of a clock; `Watchdog` looks at processes and files.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from launcher.errors import Problem
from launcher.host.vital_signs import STOPPED, Signs, look_at
from launcher.json_files import write_json
from launcher.plan.placement import HANG_SECONDS
from launcher.runs.attempt import AttemptFolder
from launcher.runs.pulse import FORGETTING

SLOWEST_TIMES, UNKNOWN_TIMES, STOPPED_PART = 10, 10, 3
"""The limit: this many times the slowest of its stage; this many times `--hang-seconds` where nothing is known; this
part of it where a process was stopped, which is certain."""
MOST_BETWEEN_LOOKS = 2.0
"""With more seconds between two looks this process was stopped itself, or slept with its machine: the rest of that time
does not count against the ranks."""
COMPUTES = 0.2
"""Processor seconds a second above which a rank computes rather than waits."""
BYTES_A_SECOND = 1 << 20

Doing = Literal["stopped", "spinning", "sleeping", "computing", "waiting"]
BLAME: tuple[Doing, ...] = ("stopped", "spinning", "sleeping", "computing", "waiting")
"""Which of several hanging ranks is the likeliest cause; the first is the likeliest."""


@dataclass
class Clock:
    """Seconds that this process was awake."""

    seconds: float = 0.0
    last: float | None = None

    def awake(self, now: float) -> float:
        """The time, given the monotonic clock's."""
        if self.last is not None:
            self.seconds += min(now - self.last, MOST_BETWEEN_LOOKS)
        self.last = now
        return self.seconds


@dataclass(frozen=True)
class Hang:
    """A rank that hangs."""

    rank: int
    signs: Signs
    doing: Doing
    seconds: float
    waiting: tuple[int, ...]
    """The ranks that wait for others."""


@dataclass
class _Known:
    """One rank since its last progress."""

    signs: Signs
    since: float
    """When it last made progress, or read or wrote."""
    then: Signs
    """Its signs at that time."""
    before: float
    """When it last made progress by its own count."""
    heard: float
    seen: float
    looks: int = 0
    runs: int = 0
    """In how many of the looks since then one of its threads was computing."""
    stopped: float | None = None

    def rest(self, now: float) -> None:
        """It makes progress: what follows is measured from now."""
        self.since, self.then, self.looks, self.runs = now, self.signs, 0, 0


@dataclass
class Judge:
    """Decides which rank hangs, if one does. What it has learned about stages is kept from attempt to attempt."""

    hang_seconds: float = HANG_SECONDS
    alone: bool = True
    """Whether all ranks are seen: on one of several machines those here may all wait for one elsewhere."""
    slowest: dict[str, float] = field(default_factory=dict)
    """Most seconds without progress, by stage."""
    patience: dict[str, float] = field(default_factory=dict)
    """A stage in which a hang was found gets twice as long from then on: it may just be that slow."""
    ranks: dict[int, _Known] = field(default_factory=dict)

    def begin(self, hang_seconds: float, alone: bool) -> None:
        """Another attempt."""
        self.hang_seconds, self.alone, self.ranks = hang_seconds, alone, {}

    def look(self, now: float, seen: Mapping[int, Signs]) -> Hang | None:
        """The rank that hangs, at that time of a clock that does not run while this process is stopped."""
        self.ranks = {rank: known for rank, known in self.ranks.items() if rank in seen}
        for rank, signs in seen.items():
            self._learn(rank, signs, now)
        if not any(self._quiet(rank, now) > self._limit(rank, now) for rank in seen):
            return None
        still = [rank for rank in seen if self._quiet(rank, now) > self._limit(rank, now) / 2]
        rank = min(still, key=lambda rank: (BLAME.index(self.doing(rank, now)), seen[rank].step, rank))
        doing = self.doing(rank, now)
        waiting = tuple(other for other in seen if other != rank and self.doing(other, now) == "waiting")
        if doing != "stopped":
            self.patience[seen[rank].stage] = 2 * self.patience.get(seen[rank].stage, 1.0)
        return Hang(rank, seen[rank], doing, self._quiet(rank, now), waiting)

    def doing(self, rank: int, now: float) -> Doing:
        """What the rank does while it makes no progress, as far as that can be seen."""
        known = self.ranks[rank]
        beat, quiet = known.signs.beat, max(now - known.since, 0.1)
        processor = known.signs.processor - known.then.processor
        # on a busy machine it may be runnable and not get a core
        computes = processor / quiet >= COMPUTES or 2 * known.runs > known.looks
        if known.stopped is not None:
            return "stopped"
        if beat.get("waits") or (beat.get("backward") and not computes):
            return "waiting"
        if not computes:
            return "sleeping"
        # a call that has not come back is native code at work, if it is not a disk that the main thread waits for
        return "computing" if not beat.get("disk") and beat.get("in_call", 0.0) > quiet / 2 else "spinning"

    def _learn(self, rank: int, signs: Signs, now: float) -> None:
        known = self.ranks.get(rank)
        if known is None:
            self.ranks[rank] = _Known(signs, now, signs, now, now, now, stopped=now if signs.state in STOPPED else None)
            return
        before, known.signs = known.signs, signs
        passed, known.seen = now - known.seen, now
        if signs.beat != before.beat:
            known.heard = now
        if signs.state not in STOPPED:
            known.stopped = None
        elif known.stopped is None:
            known.stopped = now
        if signs.progress != before.progress:
            took, stage = now - known.before, before.stage
            times = max(1, int(signs.beat.get("count", 0)) - int(before.beat.get("count", 0)))
            self.slowest[stage] = max(took, self.slowest.get(stage, 0.0) * FORGETTING**times)
            known.before = now
            known.rest(now)
        elif signs.in_the_kernel or signs.moved - before.moved > BYTES_A_SECOND * max(passed, 0.1):
            known.rest(now)
        else:
            known.looks, known.runs = known.looks + 1, known.runs + signs.runs

    def _quiet(self, rank: int, now: float) -> float:
        known = self.ranks[rank]
        return now - (known.since if known.stopped is None else min(known.stopped, known.since))

    def _limit(self, rank: int, now: float) -> float:
        known, limit = self.ranks[rank], self.hang_seconds
        beat, stage, doing = known.signs.beat, known.signs.stage, self.doing(rank, now)
        if doing == "stopped":
            return limit / STOPPED_PART if known.signs.state == "T" else limit
        # the rank itself has measured what was too quick to be seen from here
        measured = [seconds for seconds in (self.slowest.get(stage), beat.get("usual")) if seconds is not None]
        usual, unknown = max(measured, default=None), UNKNOWN_TIMES * limit
        least = max(limit, float(beat.get("allowed", 0.0)))
        mute = now - known.heard > max(limit / 3, 1.0)  # it cannot even report what it does
        if mute or (doing == "sleeping" and beat.get("disk")):
            least = max(least, unknown)
        elif doing == "waiting":
            if not self.alone or any(self.doing(other, now) != "waiting" for other in self.ranks):
                return math.inf  # the rank that it waits for is judged
            least = max(least, unknown if usual is None else 2 * limit)
        elif usual is None and not (doing in ("spinning", "sleeping") and self._missed(rank, now)):
            least = max(least, unknown)
        return self.patience.get(stage, 1.0) * max(least, SLOWEST_TIMES * (usual or 0.0))

    def _missed(self, rank: int, now: float) -> bool:
        """Whether others have waited for it that long."""
        others = (other for other in self.ranks if other != rank)
        return any(self.doing(o, now) == "waiting" and self._quiet(o, now) > self.hang_seconds for o in others)


@dataclass
class Watchdog:
    """Watches one machine's ranks through one attempt after another."""

    attempt: AttemptFolder
    judge: Judge = field(default_factory=Judge)
    clock: Clock = field(default_factory=Clock)
    seen: dict[int, Signs] = field(default_factory=dict)
    next_look: float = 0.0
    monotonic: Callable[[], float] = time.monotonic

    def begin(self, attempt: AttemptFolder, hang_seconds: float, alone: bool) -> None:
        """Another attempt."""
        self.attempt, self.seen = attempt, {}
        self.judge.begin(hang_seconds, alone)

    def hang(self, processes: Mapping[int, int]) -> Hang | None:
        """The rank that hangs, if one does; its failure report is then written for it, since it cannot write one."""
        real = self.monotonic()
        if real < self.next_look:
            return None
        self.next_look = real + min(1.0, self.judge.hang_seconds / 15)
        now, closely = self.clock.awake(real), set[int]()
        for rank in processes:
            known = self.judge.ranks.get(rank)
            if known is not None and now - known.since > self.judge.hang_seconds / 10:
                closely.add(rank)
        self.seen = {rank: look_at(pid, self.attempt.pulse(rank), rank in closely) for rank, pid in processes.items()}
        hang = self.judge.look(now, self.seen)
        if hang is not None:
            with contextlib.suppress(OSError):  # a full disk
                write_json(self.attempt.failure(hang.rank), report(hang))
        return hang

    def trains(self, processes: Mapping[int, int]) -> bool:
        """Whether one of these ranks is beyond its start, so that it may have something to save."""
        seen = [look_at(pid, self.attempt.pulse(rank)) for rank, pid in processes.items()]
        return any(signs.section != "starting" for signs in seen)

    @property
    def saving(self) -> bool:
        """Whether a rank was last seen at saving."""
        return any(signs.section == "saving" for signs in self.seen.values())

    @property
    def slowest_step(self) -> float:
        """Seconds."""
        return self.judge.slowest.get("training", 0.0)


def report(hang: Hang) -> dict[str, object]:
    """The failure report of a rank that hangs, as the rank itself would have written it."""
    section, step = hang.signs.section, hang.signs.step
    if section == "training":
        what = f"rank {hang.rank} has made no step for {hang.seconds:.0f} s, after step {step}"
    else:
        after = f", after step {step}" if step else ""
        what = f"rank {hang.rank} stands still in {section} for {hang.seconds:.0f} s{after}"
    beat = hang.signs.beat
    at = "its disk" if beat.get("disk") else beat.get("at")
    how = {
        "stopped": "its process was stopped",
        "spinning": f"it computes without end in {at}",
        "sleeping": f"it waits {'for' if beat.get('disk') else 'in'} {at}, for no other rank",
        "computing": f"it computes in {at}",
        "waiting": "it waits for the others, and all of them wait too",
    }[hang.doing]
    do = "its Python stack is at the end of its log" if hang.doing != "stopped" else "find out who stopped it"
    if hang.waiting:
        do += f"; ranks that waited for it: {', '.join(map(str, hang.waiting))}"
    if hang.doing != "stopped":
        do += "; if it is just that slow, raise --hang-seconds"
    problem = Problem(f"{what}: {how}", do=do)
    kind = "stopped" if hang.doing == "stopped" else "hung"
    return {"time": time.time(), "rank": hang.rank, "problems": [problem.document()], "kind": kind}
