"""A storm of kills over every process of a run, in every part of it: all recover, to the bit. `make chaos` and CI.

    python tests/faults/storm.py [KILLS] [--seed N]

SIGKILL comes at random moments over ranks, the process that forks them, its spare copy and the launcher (which is
resumed). The seed is printed; it repeats the same choices. The same rank is not hit twice in a row: its death after the
same step as before is, by what the launcher promises, the end of the run.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from proof import assert_same, litter
from scene import PATIENCE, SLOW, Launched, Scene, parent_of, processes_of, wait_until

from launcher.runs.run_folder import RunFolder

SLOWED = """import os, pathlib, time

if "RANK" in os.environ:  # while the brake is on every part lasts long enough to be hit
    from launcher.training import rank
    from launcher.training.checkpoints import writer
    from launcher.training.result import result
    def slowed(owner, name, seconds):
        original = getattr(owner, name)
        def slow(*words, **more):
            time.sleep(seconds if pathlib.Path("brake").exists() else 0)
            return original(*words, **more)
        setattr(owner, name, slow)
    slowed(rank, "initial_model", 0.2)
    slowed(rank, "evaluate", 0.2)
    slowed(writer, "save_file", 0.1)
    slowed(result, "gather", 0.2)

"""
WORDS = ("--processes", 2, "--set", "training.checkpoint_every=20", "--set", "training.evaluate_every=30")
SECTIONS = ("starting", "rehearsing", "training", "training", "evaluating", "saving", "testing")
LAST = ("testing",)
"""Comes only at the end of a run."""
VICTIMS = ("rank 0", "rank 1", "fork server", "spare", "launcher")
SECONDS_FOR_A_SECTION = 4.0


@dataclass(frozen=True)
class Kill:
    """One of them, and what came of it."""

    victim: str
    section: str
    seconds: float
    """Until the run was at work again; of a launcher, until its orphans were gone."""
    orphans: int


@dataclass
class Storm:
    """Runs, one after another, until so many kills have hit them."""

    scene: Scene
    dice: random.Random
    kills: list[Kill] = field(default_factory=list)
    number: int = 0
    launched: Launched | None = None

    def run(self, kills: int) -> list[Path]:
        """Kill so often; the folders of the runs, all of which have finished."""
        last = ""
        while len(self.kills) < kills:
            launched = self._at_work()
            victim = self.dice.choice([name for name in VICTIMS if name != last or not name.startswith("rank")])
            section = self._wait_for(self.dice.choice(SECTIONS))
            time.sleep(self.dice.uniform(0, 0.15))
            if (pid := self._pid(launched, victim)) is None:
                continue  # the run has just ended, or the process is only being born
            self.kills.append(self._hit(launched, victim, section, pid))
            last = victim
        self._brake(False)
        launched = self._at_work()
        assert launched.end() == 0, launched.output()
        return [self.scene.runs / f"r{n}" for n in range(1, self.number + 1)]

    def _at_work(self) -> Launched:
        """The run that is under way: the same, or another one where that has finished."""
        if self.launched is not None and not self.launched.ended():
            return self.launched
        if self.launched is not None:
            assert self.launched.process.returncode == 0, self.launched.output()
        self.number += 1
        self.launched = self.scene.start(f"r{self.number}", *WORDS)
        wait_until(lambda: self._launched().ranks() or self._launched().ended(), "the first attempt")
        return self.launched

    def _launched(self) -> Launched:
        assert self.launched is not None
        return self.launched

    def _wait_for(self, wanted: str) -> str:
        """The section that the run is in, once it is that one, or it has taken too long."""
        self._brake(wanted not in LAST)
        deadline = time.monotonic() + SECONDS_FOR_A_SECTION * (5 if wanted in LAST else 1)
        section = ""
        while time.monotonic() < deadline and not self._launched().ended():
            section = self._section()
            if section == wanted:
                break
            time.sleep(0.005)
        self._brake(True)
        return section or "starting"

    def _section(self) -> str:
        attempts = RunFolder(self._launched().path).attempts()
        return str(attempts[-1].beat(0).get("section", "starting")) if attempts else "starting"

    def _pid(self, launched: Launched, victim: str) -> int | None:
        if launched.ended():
            return None
        if victim == "launcher":
            return launched.process.pid
        ranks = launched.ranks()
        if victim.startswith("rank"):
            return ranks.get(int(victim[-1]))
        servers = [pid for pid in processes_of(launched.path, launched.process.pid) if pid not in ranks.values()]
        forked = {parent_of(pid) for pid in ranks.values()} & set(servers)
        spare = [pid for pid in servers if pid not in {*forked, launched.process.pid}]
        return next(iter(forked if victim == "fork server" else spare), None)

    def _hit(self, launched: Launched, victim: str, section: str, pid: int) -> Kill:
        before, ranks = RunFolder(launched.path).attempts()[-1].number, [*launched.ranks().values()]
        began = time.monotonic()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return Kill(victim, section, 0.0, 0)
        if victim == "launcher":
            launched.end()
            wait_until(lambda: not launched.left_over(), "the end of what it had started", seconds=10)
            seconds = time.monotonic() - began
            status = self.scene.status(launched.path.name)["status"]
            assert status in ("died", "finished"), status
            if status == "finished":  # hit as it was leaving: what it did is done
                self.launched = None
            else:
                self.launched = self.scene.start(launched.path.name, *WORDS, "--resume")
                wait_until(lambda: self._attempt() > before or self._launched().ended(), "the resumed attempt")
            return Kill(victim, section, seconds, 0 if seconds <= 2 else 1)
        if victim != "spare":
            wait_until(lambda: launched.ended() or self._attempt() > before, "the next attempt", seconds=PATIENCE)
            wait_until(lambda: launched.ended() or self._section() != "starting", "work", seconds=PATIENCE)
        seconds = time.monotonic() - began
        time.sleep(max(0.0, 2 - seconds) if victim != "spare" else 0)
        orphans = 0 if victim == "spare" else sum(_lives(launched, rank, before) for rank in ranks)
        return Kill(victim, section, seconds, orphans)

    def _attempt(self) -> int:
        attempts = RunFolder(self._launched().path).attempts()
        return attempts[-1].number if attempts else 0

    def _brake(self, on: bool) -> None:
        brake = self.scene.folder / "brake"
        brake.touch() if on else brake.unlink(missing_ok=True)


def _lives(launched: Launched, pid: int, attempt: int) -> bool:
    """Whether that process is still the one that was a rank of that attempt."""
    try:
        return f"/attempts/{attempt}/" in str(Path(f"/proc/{pid}/fd/1").readlink())
    except OSError:
        return False


def scene_of_storms(folder: Path, cache: Path) -> Scene:
    """The slow recipe, whose parts can all be hit."""
    scene = Scene(folder, cache, rows=1600, changes=SLOW)
    scene.recipe.write_text(SLOWED + scene.recipe.read_text())
    return scene


def storm(folder: Path, cache: Path, kills: int, seed: int) -> list[Kill]:
    """So many kills; every run has ended well, with the bits of one that was left in peace."""
    scene = scene_of_storms(folder, cache)
    scene.finish("twin", *WORDS)
    one = Storm(scene, random.Random(seed))
    try:
        for run in one.run(kills):
            assert_same(run, scene.runs / "twin")
            assert not litter(run), litter(run)
    finally:
        if one.launched is not None:
            one.launched.kill_everything()
    return one.kills


def main() -> int:
    """See the module."""
    words = sys.argv[1:]
    seed = int(words[words.index("--seed") + 1]) if "--seed" in words else random.randrange(1 << 32)
    kills = int(words[0]) if words and words[0].isdigit() else 200
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        hit = storm(Path(folder), Path(folder) / "cache", kills, seed)
    print(f"{'victim':<12} {'section':<11} {'kills':>5} {'orphans':>7} {'seconds (median, worst)':>24}")
    for victim in VICTIMS:
        for section in dict.fromkeys(kill.section for kill in hit):
            mine = [kill for kill in hit if (kill.victim, kill.section) == (victim, section)]
            if mine:
                times = [kill.seconds for kill in mine]
                told = f"{statistics.median(times):>16.1f} {max(times):>7.1f}"
                print(f"{victim:<12} {section:<11} {len(mine):>5} {sum(kill.orphans for kill in mine):>7} {told}")
    orphans = sum(kill.orphans for kill in hit)
    took = time.monotonic() - began
    print(f"{len(hit)} kills in {took:.0f} s, {orphans} orphans after 2 s; all runs ended with the same bits")
    return int(orphans > 0)


if __name__ == "__main__":
    sys.exit(main())
