"""The pulse of this process, for the watchdog and for `status`: what it does now, its progress, and whether it waits.

A thread writes it twice a second into one small file, in place: that needs no room on a full disk, and no step waits
for it. The work itself only counts (`tick`) each bit of progress: a micro-batch, a batch of an evaluation, a tensor.
The thread sees on the main thread's Python stack whether the process waits for other ranks, so no collective has to
report it. `launcher.runs.watchdog` judges the pulse (docs/decisions/018-hangs.md).

In a process that has not begun a pulse all of this does nothing.
"""

from __future__ import annotations

import contextlib
import dis
import faulthandler
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

LENGTH = 512
"""Bytes of the file: always the same, so that the new beat overwrites the old one."""
SLOWEST, QUICKEST = 0.5, 0.05
"""Seconds between two beats."""
FORGETTING = 0.99
"""The slowest time of a stage shrinks by this factor with each later one: a single pause does not count for ever."""
SHOW_STACKS = signal.SIGRTMIN + 3
"""A process that gets it writes the Python stacks of all its threads to standard error, even in an endless loop.
Not SIGUSR1 or 2: Slurm sends these to all processes of a job."""
MEETING_PLACES = (
    *("/torch/distributed/distributed_c10d.py", "/torch/distributed/c10d_logger.py"),
    *("/torch/distributed/rendezvous.py", "/torch/distributed/_functional_collectives.py"),
    *("/_fully_shard/_fsdp_collectives.py", "/_fully_shard/_fsdp_param_group.py"),
    *("/deepspeed/comm/torch.py", "/deepspeed/comm/comm.py", "/launcher/training/distributed/world.py"),
)
"""Files in which a rank waits for the others."""
CALLS = ("CALL", "PRECALL", "BINARY", "STORE_SUBSCR", "FOR_ITER", "CONTAINS", "IMPORT", "LIST_EXTEND")
"""Instructions that native code may execute for a long time; at any other one it is Python that does not end."""
INNERMOST = 3
"""How many of the main thread's frames are looked at: with a wait further out the rank itself is doing something."""


class Pulse:
    """What one process reports of itself."""

    def __init__(self, path: Path, hang_seconds: float):
        self.path, self.every = path, min(SLOWEST, max(QUICKEST, hang_seconds / 20))
        self.section, self.step, self.steps = "starting", 0, 0
        self.stage, self.count, self.allowed = "starting", 0, 0.0
        self.disk = self.others = 0
        self.instruction: tuple[object, int] | None = None
        self.since = self.ticked = time.monotonic()
        self.slowest: dict[str, float] = {}
        """Seconds without a tick, by stage."""

    def live(self) -> None:
        """Beat until the process ends."""
        while True:
            self.beat()
            time.sleep(self.every)

    def beat(self) -> None:
        """Write the current state."""
        beat = {"section": self.section, "step": self.step, "steps": self.steps, "time": time.time()}
        beat |= {"stage": self.stage, "count": self.count, "allowed": self.allowed, "disk": bool(self.disk)}
        beat["usual"] = round(self.slowest[self.stage], 2) if self.stage in self.slowest else None
        beat |= self._main_thread()
        line = json.dumps(beat)
        with contextlib.suppress(OSError):  # a full disk; what matters is written elsewhere, where an error counts
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.pwrite(descriptor, line.ljust(LENGTH - 1).encode() + b"\n", 0)
            finally:
                os.close(descriptor)

    def _main_thread(self) -> dict[str, object]:
        """Whether it waits for others (`backward`: perhaps), where it is, and how long it has been in this one call."""
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        if frame is None:
            return {"waits": False}
        instruction = (frame.f_code, frame.f_lasti)
        if instruction != self.instruction:
            self.instruction, self.since = instruction, time.monotonic()
        calls = dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith(CALLS)
        where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
        return {
            "waits": bool(self.disk and self.others) or _meets(frame),
            "backward": frame.f_code.co_name == "_engine_run_backward",
            "in_call": round(time.monotonic() - self.since, 1) if calls else 0.0,
            "at": "".join(c if c.isascii() and c.isprintable() else "?" for c in where)[:120],
        }


def _meets(frame: FrameType) -> bool:
    innermost: FrameType | None = frame
    for _ in range(INNERMOST):
        if innermost is None:
            return False
        if innermost.f_code.co_filename.endswith(MEETING_PLACES):
            return True
        innermost = innermost.f_back
    return False


_mine: Pulse | None = None  # a global: a process has one pulse, and the code that ticks need not pass it around


def begin(path: Path, hang_seconds: float = 30.0) -> None:
    """Have a pulse from now on; the stacks are shown on demand."""
    global _mine
    if _mine is None:
        faulthandler.register(SHOW_STACKS, all_threads=True)
        _mine = Pulse(path, hang_seconds)
        threading.Thread(target=_mine.live, daemon=True, name="pulse").start()


def section(name: str, step: int, steps: int, stage: str = "") -> None:
    """What is done from now on; written at once."""
    if _mine is not None:
        _mine.section, _mine.step, _mine.steps = name, step, steps
        tick(stage or name)
        _mine.beat()


def tick(stage: str | None = None, step: int | None = None, allowed: float = 0.0) -> None:
    """Progress was made. `stage` is what comes next: each has its own usual time. `allowed` are the seconds that it may
    take, where that is known from the amount of work.
    """
    if _mine is not None:
        now, before = time.monotonic(), _mine.stage
        _mine.slowest[before] = max(now - _mine.ticked, _mine.slowest.get(before, 0.0) * FORGETTING)
        _mine.ticked = now
        _mine.count += 1
        _mine.stage = stage or before
        _mine.step = _mine.step if step is None else step
        _mine.allowed = allowed


def enter(stage: str) -> None:
    """Begin this stage, unless it goes on already: the one before may have a shorter usual time."""
    if _mine is not None and _mine.stage != stage:
        tick(stage)


@contextlib.contextmanager
def at_the_disk() -> Iterator[None]:
    """In here the main thread waits for a disk, which may be slow."""
    tick()
    if _mine is None:
        yield
        return
    _mine.disk += 1
    try:
        yield
    finally:
        _mine.disk -= 1
        tick()


@contextlib.contextmanager
def waiting_for_others() -> Iterator[None]:
    """In here the writing thread waits for other ranks, and so does the main thread where that waits for it."""
    if _mine is None:
        yield
        return
    _mine.others += 1
    try:
        yield
    finally:
        _mine.others -= 1
