"""Whatever can stand still, in each part of a run, at the default of `--hang-seconds`: `make chaos`. Prints a table.

    python tests/faults/hangs.py [SECONDS [RUNS AT ONCE]]

Each line is a run of its own on two processes, of which one stops, or spins, or sleeps, at that place; or it stops the
process that forks the ranks, or the launcher (which is sent on after longer than the limit: nothing may be taken for
hung by then). A line is right when the right process is named, the next attempt begins within one and a half times the
limit, and the run ends with the bits of one that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from proof import assert_same
from scene import Launched, Scene
from stalls import SECTION, scene_of_stalls, stall

from launcher.host.vital_signs import state_of
from launcher.runs.run_folder import RunFolder

PLACES = ("importing", "loading", "rehearsing", "training", "evaluating", "saving", "testing", "proving")
KINDS = ("stopped", "spinning", "sleeping", "server stopped", "launcher stopped")


@dataclass(frozen=True)
class Cell:
    """What came of one of them."""

    place: str
    kind: str
    named: bool
    seconds: float | None
    """From the moment in which it stood still to the next attempt at work; None where it is the same one."""
    same: bool
    told: str

    def right(self, limit: float) -> bool:
        return self.named and self.same and (self.seconds is None or self.seconds <= 1.5 * limit)


def one(folder: Path, cache: Path, twin: Path, place: str, kind: str, limit: float) -> Cell:
    """Run it."""
    scene, rank = scene_of_stalls(folder, cache), 0 if "spin" in kind or "launcher" in kind else 1
    stall(scene, [(rank, place, kind)])
    launched = scene.start("r", "--processes", 2, "--hang-seconds", limit)
    status, seconds, stalled = "", None, folder / "stalled-1"
    try:
        while not launched.ended():
            time.sleep(0.05)
            if kind == "launcher stopped" and not status and state_of(launched.process.pid) == "T":
                status = str(scene.status("r")["stopped_launcher"])
                time.sleep(1.2 * limit)
                launched.signal(signal.SIGCONT)
            attempts = RunFolder(launched.path).attempts()
            if seconds is None and len(attempts) > 1 and attempts[1].beat(0).get("section", "starting") != "starting":
                seconds = time.time() - stalled.stat().st_mtime
        assert stalled.exists(), f"it did not come to {place}"
        told = _broken(launched)
        return Cell(
            place, kind, _named(told, launched, kind, place, rank, status), seconds, _same(launched, twin), told
        )
    finally:
        if state_of(launched.process.pid) == "T":
            os.kill(launched.process.pid, signal.SIGCONT)
        launched.kill_everything()


def _broken(launched: Launched) -> str:
    return "; ".join(re.findall(r"attempt \d+ broke: (.*); attempt \d+ repeats", launched.told.read_text()))


def _named(told: str, launched: Launched, kind: str, place: str, rank: int, status: str) -> bool:
    section = SECTION.get(place, place)
    if kind == "launcher stopped":
        return told == "" and status == str(launched.process.pid)
    if kind == "server stopped":
        return told.startswith("the process that starts the ranks stands still")
    where = "has made no step" if section == "training" else f"stands still in {section}"
    how = "was stopped" if kind == "stopped" else "without end in tiny.py" if kind == "spinning" else "waits in tiny.py"
    return told.startswith(f"rank {rank} {where}") and how in told and "; rank" not in told


def _same(launched: Launched, twin: Path) -> bool:
    try:
        assert_same(launched.path, twin)
    except (AssertionError, OSError):
        return False
    return True


def main() -> int:
    """See the module."""
    limit = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    at_once = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(at_once) as pool:
        home, cache = Path(folder), Path(folder) / "cache"
        for name in ("twin", *(f"{place} {kind}" for place in PLACES for kind in KINDS)):
            (home / name).mkdir()
        scene: Scene = scene_of_stalls(home / "twin", cache)
        scene.finish("r", "--processes", 2)
        twin = scene.runs / "r"
        waiting = [
            pool.submit(one, home / f"{place} {kind}", cache, twin, place, kind, limit)
            for place in PLACES
            for kind in KINDS
        ]
        print(f"{'place':<11} {'what':<17} {'named':>5} {'seconds':>7} {'same bits':>9}  told", flush=True)
        cells = []
        for future in waiting:
            cell = future.result()
            cells.append(cell)
            seconds = "-" if cell.seconds is None else f"{cell.seconds:.1f}"
            words = (cell.place, cell.kind, "yes" if cell.named else "NO", seconds, "yes" if cell.same else "NO")
            print("{:<11} {:<17} {:>5} {:>7} {:>9}  {}".format(*words, cell.told), flush=True)
    wrong = [cell for cell in cells if not cell.right(limit)]
    print(json.dumps({"limit": limit, "cells": len(cells), "wrong": len(wrong)}))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
