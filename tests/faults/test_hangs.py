"""Processes that stand still: found in every part of a run, the right one named, its stack shown, the run repaired."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

from proof import assert_same, litter
from scene import PATIENCE, Launched, Scene, wait_until
from stalls import SECTION, scene_of_stalls, stall

Begin = Callable[..., Launched]
Twin = Callable[[int], Path]
STALLS = [
    (1, "importing", "stopped"),
    (0, "loading", "spinning"),
    (1, "rehearsing", "stopped"),
    (0, "training", "spinning"),
    (1, "training", "stopped"),
    (0, "evaluating", "spinning"),
    (1, "saving", "stopped"),
    (0, "testing", "spinning"),
    (1, "proving", "stopped"),
]
"""In the order in which a run comes there, never a rank twice on end; `make chaos` has every way to stand still in each
place."""


def test_ranks_that_stand_still_are_found_in_every_section(tmp_path: Path, cache: Path) -> None:
    scene = scene_of_stalls(tmp_path, cache)
    scene.finish("twin", "--processes", 2)
    stall(scene, STALLS)
    done = scene.finish("r", "--processes", 2, "--hang-seconds", 2)
    assert len(list(scene.folder.glob("stalled-*"))) == len(STALLS), "not every one was reached"

    told = re.findall(r"attempt \d+ broke: (.*); attempt \d+ repeats", done.stdout)
    assert len(told) == len(STALLS), done.stdout
    for what, (rank, place, kind), attempt in zip(told, STALLS, range(1, 99), strict=False):
        section = SECTION.get(place, place)
        assert what.startswith(f"rank {rank} "), (place, what)
        assert "has made no step" in what if section == "training" else f"stands still in {section}" in what
        if kind == "stopped":
            assert what.endswith(": its process was stopped"), what
            continue
        assert "computes without end in tiny.py" in what or "waits in tiny.py" in what, what
        log = (scene.runs / "r" / "attempts" / str(attempt) / f"rank-{rank}.log").read_text()
        assert "in perhaps" in log, "its stack is not in its log"
        (problem,) = json.loads((scene.runs / f"r/attempts/{attempt}/rank-{rank}.failure.json").read_text())["problems"]
        assert f"ranks that waited for it: {1 - rank}" in problem["do"]
    assert "Traceback" not in done.stdout + done.stderr
    assert_same(scene.runs / "r", scene.runs / "twin")
    assert not litter(scene.runs / "r")


def test_a_nursery_and_a_launcher_that_stand_still(slow: Scene, begin: Begin, twin: Twin) -> None:
    launched = begin("r", "--processes", 2, "--set", "training.checkpoint_every=20", "--hang-seconds", 3)
    launched.wait_for_step(50)
    os.kill(launched.nursery(), signal.SIGSTOP)
    wait_until(lambda: (launched.path / "attempts/2/origin.json").exists() or launched.ended(), "the next attempt")
    assert not launched.ended(), launched.output()

    launched.wait_for_step(90)
    launched.signal(signal.SIGSTOP)
    wait_until(lambda: slow.status("r")["stopped_launcher"] == launched.process.pid, "the truth")
    assert f"its launcher, process {launched.process.pid}, is suspended; " in slow.launch("status", "r").stdout
    time.sleep(4)
    launched.signal(signal.SIGCONT)
    (slow.folder / "brake").unlink()

    assert launched.end() == 0, launched.output()
    told = launched.told.read_text()
    assert re.search(
        r"attempt 1 broke: the process that starts the ranks stands still for \d s: it was stopped; ", told
    )
    assert [attempt["ended"] for attempt in slow.outcome("r")["attempts"]] == ["fault", "finished"], "a false alarm"
    assert launched.left_over() == []
    assert_same(launched.path, twin(2))


def test_twice_asked_everything_ends_although_the_nursery_stands_still(slow: Scene, begin: Begin) -> None:
    launched = begin("r", "--processes", 2, "--hang-seconds", 1000)
    launched.wait_for_step(5)
    os.kill(launched.nursery(), signal.SIGSTOP)
    launched.signal(signal.SIGINT)
    wait_until(lambda: "saving a checkpoint" in launched.output(), "the answer to the first signal")
    launched.signal(signal.SIGINT)
    assert launched.process.wait(PATIENCE / 3) == 75, launched.output()
    assert launched.left_over() == []
    assert slow.status("r")["status"] == "stopped"
    assert "Traceback" not in launched.output()


def test_asked_to_stop_before_the_first_step_it_ends_at_once(slow: Scene, begin: Begin) -> None:
    text = slow.recipe.read_text()
    slow.recipe.write_text('import os, time\nif "RANK" in os.environ:\n    time.sleep(100000)\n' + text)
    launched = begin("r", "--processes", 2)
    wait_until(lambda: len(launched.ranks()) == 2, "the ranks")
    launched.signal(signal.SIGTERM)
    assert launched.process.wait(PATIENCE / 3) == 75, launched.output()
    assert launched.left_over() == []
    assert slow.outcome("r")["status"] == "stopped"
    assert slow.outcome("r")["problems"][0]["what"] == "stopped before there was anything to save"
