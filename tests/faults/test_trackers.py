"""A run that is killed and goes on: a tracker of the user's own hears of each step once, with the values that count."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

from scene import PATIENCE, Launched, Scene, wait_until

from launcher.runs.run_folder import RunFolder

TRACKER = """import json

def track(event):
    with open("told.jsonl", "a") as file:
        file.write(json.dumps(event) + "\\n")
"""


def test_a_killed_run_that_goes_on_tells_each_step_once(slow: Scene, begin: Callable[..., Launched]) -> None:
    (slow.folder / "keeps.py").write_text(TRACKER)
    launched = begin("r", "--set", "training.checkpoint_every=50", "--tracker", "keeps.py")
    launched.wait_for_step(120)
    os.kill(launched.process.pid, signal.SIGKILL)
    launched.end()
    wait_until(lambda: not launched.left_over(), "the end of all", seconds=PATIENCE)
    slow.finish("r", "--set", "training.checkpoint_every=50", "--resume")

    told = [json.loads(line) for line in (slow.folder / "told.jsonl").read_text().splitlines()]
    folder = RunFolder(slow.runs / "r")
    heard = {kind: {e["step"]: e for e in told if e["kind"] == kind} for kind in ("step", "evaluation")}
    assert len(told) == 1 + len(heard["step"]) + len(heard["evaluation"]) + 1, "something was told twice"
    counts = {line["step"]: line["loss"] for line in folder.events_so_far()}
    assert {step: event["loss"] for step, event in heard["step"].items()} == counts and len(counts) == 240
    scores = {line["step"]: line["accuracy"] for line in folder.evaluations_so_far()}
    assert {step: event["accuracy"] for step, event in heard["evaluation"].items()} == scores
    assert told[0]["kind"] == "start" and told[-1]["kind"] == "end"
    assert told[-1]["metrics"] == slow.outcome("r")["metrics"]
