"""Events that put a job back, in the middle of its training, and what they cost: `make chaos`, and three of each in CI.

python tests/slurm/chaos.py 20      a job for each way, in a lab of their own, hit 20 times; prints a table
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import Lab, wait_until, why_not
from work import DROPOUT, STEPS, Work

from launcher.json_lines import read_lines

SLOWED = """import os, pathlib, time

if "RANK" in os.environ:
    from launcher.training.loop import Loop

    step, made = Loop._step, []
    def slowed(self, batch):
        if pathlib.Path({brake!r}).exists():
            time.sleep(0.05 if len(made) < {soon} else 0.5)
        made.append(batch)
        return step(self, batch)
    Loop._step = slowed

"""
"""Above a recipe: as long as the brake is on a rank makes its first steps soon, and is then slow enough to be hit in
the middle, however busy the machine is."""
STEPS_BETWEEN, STEPS_AN_EPOCH = 5, 21
STEPS_OF_A_HIT = 130
"""So many at most, with those that are made while the other jobs are waited for: a minute of them."""


@dataclass(frozen=True)
class Hit:
    """One event, and what came of it."""

    kind: str
    reached: int
    """The last step that was logged before."""
    gone_on: int
    """The step that the next attempt went on from."""
    seconds: float
    """From the event to the next attempt's first step."""


def brake(work: Work, above: str = "") -> Path:
    """Put the brake into the recipe, and on."""
    path, recipe = work.folder / "brake", work.folder / "tiny.py"
    recipe.write_text(SLOWED.format(brake=str(path), soon=2 * STEPS_BETWEEN) + above + recipe.read_text())
    path.touch()
    return path


def warn(work: Work, job: int) -> None:
    """What Slurm sends before the time is over."""
    work.lab.run("scancel", "--batch", "--signal=USR1", job)


def requeue(work: Work, job: int) -> None:
    """What an administrator types."""
    work.lab.run("scontrol", "requeue", job)


def preempt(work: Work, job: int) -> None:
    """A job of a higher partition that wants the whole node."""
    words = ("--partition=high", "--nodelist=node1", "--exclusive", "--output=/dev/null", "--wrap", "true")
    work.lab.run("sbatch", *words)


EVENTS: dict[str, Callable[[Work, int], None]] = {"preemption": preempt, "requeue": requeue, "signal": warn}
"""Each comes over a job of its own, which is called so."""


def steps_of(work: Work, name: str) -> dict[int, list[int]]:
    """The logged steps of each attempt."""
    told: dict[int, list[int]] = {}
    for event in read_lines(work.runs / name / "events.jsonl"):
        told.setdefault(event["attempt"], []).append(event["step"])
    return told


def wait_for_attempt(work: Work, name: str, number: int) -> None:
    """Return once that attempt, or a later one, has made some steps."""

    def going() -> bool:
        return any(after >= number and len(steps) >= STEPS_BETWEEN for after, steps in steps_of(work, name).items())

    try:
        wait_until(going, f"attempt {number}")
    except AssertionError as error:
        stands = work.lab.run("squeue", "--all").stdout + work.lab.run("sinfo", "--Node", "--long").stdout
        raise AssertionError(f"{error}:\n{work.log(name)}\n{stands}") from None


def gone_on_from(work: Work, name: str, number: int) -> int:
    """The step that an attempt went on from; 0 from the beginning."""
    told = json.loads((work.runs / name / "attempts" / str(number) / "origin.json").read_text())["continues"]
    return int(told["step"]) if told else 0


def survive(work: Work, rounds: int) -> list[Hit]:
    """A job for each kind of event, hit by it so many times; all have ended well."""
    on, hits = brake(work), list[Hit]()
    epochs = max(STEPS, rounds * STEPS_OF_A_HIT) // STEPS_AN_EPOCH
    long = (*DROPOUT, "--set", f"training.epochs={epochs}", "--max-requeues", rounds)
    # the one that is preempted has the first node for itself: all jobs of its node would be
    place = {"preemption": ("--partition", "low", "--exclude", "node2")}
    elsewhere = ("--partition", "main", "--exclude", "node1")
    jobs = {kind: work.submit(kind, *long, *place.get(kind, elsewhere)) for kind in EVENTS}
    for number in range(1, rounds + 1):
        began = {}
        for kind, job in jobs.items():
            wait_for_attempt(work, kind, number)
            began[kind] = time.time()
            EVENTS[kind](work, job)
        for kind in jobs:
            wait_for_attempt(work, kind, number + 1)
            events = read_lines(work.runs / kind / "events.jsonl")
            first = min(event["time"] for event in events if event["attempt"] == number + 1)
            reached = max(steps_of(work, kind)[number])
            hits.append(Hit(kind, reached, gone_on_from(work, kind, number + 1), first - began[kind]))
    on.unlink()
    for kind, job in jobs.items():
        assert work.end(kind, job)["status"] == "finished", work.log(kind)
    return hits


def main() -> int:
    """See the module."""
    reason, rounds = why_not(), int(sys.argv[1]) if len(sys.argv) > 1 else 20
    if reason:
        print(f"no Slurm lab here: {reason}")
        return 1
    lab = Lab(nodes=2)
    try:
        with tempfile.TemporaryDirectory() as folder:
            work = Work(lab, Path(folder), Path(folder) / "cache")
            hits = survive(work, rounds)
            epochs = json.loads((work.runs / "signal" / "recipe.json").read_text())["recipe"]["training"]["epochs"]
            long = (*DROPOUT, "--set", f"training.epochs={epochs}")
            work.launch("run", "tiny.py", "--name", "twin", "--device", "cpu", "--processes", 1, *long)
            same = all(work.story(kind) == work.story("twin") for kind in EVENTS)
    finally:
        lab.down()
    print(f"{'event':<18} {'times':>5} {'steps lost':>10} {'seconds to the next step (median, worst)':>42}")
    for kind in EVENTS:
        mine = [one for one in hits if one.kind == kind]
        lost, waits = sum(one.reached - one.gone_on for one in mine), [one.seconds for one in mine]
        print(f"{kind:<18} {len(mine):>5} {lost:>10} {statistics.median(waits):>33.1f} {max(waits):>8.1f}")
    print(f"losses and final weights bit-identical to the twin's: {same}")
    return 0 if same and all(one.reached == one.gone_on for one in hits) else 1


if __name__ == "__main__":
    sys.exit(main())
