"""Processes that are killed or hang: the root cause is named, nothing is orphaned, and the run goes on by itself."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from proof import assert_same, checkpoint_steps, litter
from scene import PATIENCE, Launched, Scene, wait_until

Begin = Callable[..., Launched]
Twin = Callable[[int], Path]
ALARM = PATIENCE
"""Seconds: what takes a fifth of a second here, and half an hour where a collective waits for the dead."""


def ends(scene: Scene) -> list[str]:
    return [attempt["ended"] for attempt in scene.outcome("r")["attempts"]]


def test_killed_ranks_and_a_killed_nursery_are_repaired_bit_for_bit(slow: Scene, begin: Begin, twin: Twin) -> None:
    launched = begin("r", "--processes", 2, "--set", "training.checkpoint_every=20")
    hit = (lambda: launched.ranks()[1], lambda: launched.ranks()[0], launched.nursery)
    for number, (step, victim) in enumerate(zip((50, 110, 170), hit, strict=True), start=1):
        launched.wait_for_step(step)
        os.kill(victim(), signal.SIGKILL)
        following = launched.path / f"attempts/{number + 1}/origin.json"
        wait_until(lambda path=following: path.exists() or launched.ended(), "the next attempt", seconds=ALARM)
        assert not launched.ended(), launched.output()

    assert launched.end() == 0, launched.output()
    told = launched.told.read_text()
    assert "attempt 1 broke: rank 1 was killed by SIGKILL; attempt 2 repeats what it lost" in told
    assert "attempt 2 broke: rank 0 was killed by SIGKILL; attempt 3 repeats what it lost" in told
    assert "attempt 3 broke: the process that starts the ranks ended with status -9; attempt 4 repeats" in told
    assert told.count("resumed at step") == 3
    assert ends(slow) == ["fault", "fault", "fault", "finished"]
    assert launched.left_over() == []
    assert "Traceback" not in launched.output()
    assert_same(launched.path, twin(2))
    assert checkpoint_steps(launched.path) and not litter(launched.path)


def test_a_rank_that_stands_still_is_named_and_repaired(slow: Scene, begin: Begin, twin: Twin) -> None:
    launched = begin("r", "--processes", 2, "--set", "training.checkpoint_every=20", "--hang-seconds", 3)
    launched.wait_for_step(50)
    os.kill(launched.ranks()[1], signal.SIGSTOP)
    assert launched.end() == 0, launched.output()
    told = launched.told.read_text()
    assert json.loads((launched.path / "plan.json").read_text())["hang_seconds"] == 3
    assert "attempt 1 broke: rank 1 has made no step for " in told and ": its process was stopped; attempt 2" in told
    assert ends(slow) == ["fault", "finished"]
    assert launched.left_over() == []
    assert_same(launched.path, twin(2))


def test_when_the_launcher_is_killed_everything_dies_and_the_run_goes_on(slow: Scene, begin: Begin, twin: Twin) -> None:
    launched = begin("r", "--processes", 2)
    launched.wait_for_step(170)  # the first epoch ended at step 162
    children = launched.left_over()
    assert len(children) == 4, "the nursery, its spare copy and the ranks"
    launched.signal(signal.SIGKILL)
    launched.end()
    wait_until(lambda: not launched.left_over(), "the end of nursery and ranks", seconds=ALARM)

    assert slow.status("r")["status"] == "died"
    assert "killed without a word" in slow.launch("status", "r").stdout
    steps = checkpoint_steps(launched.path)
    slow.finish("r", "--processes", 2, "--resume")
    told = (launched.path / "attempts/2/rank-0.log").read_text()
    assert (f"resumed at step {steps[-1]}" in told) if steps else ("resumed" not in told)
    assert_same(launched.path, twin(2))
    assert not litter(launched.path)


def test_a_rank_that_hangs_at_the_start_does_not_hide_the_one_that_broke(scene: Scene) -> None:
    breaks = "import os\nif os.environ.get('RANK') == '1':\n    raise ValueError('the spanner in the works')\n"
    scene.recipe.write_text(breaks + scene.recipe.read_text())
    done = scene.run("r", "--processes", 2)
    assert done.returncode == 5
    first, where = done.stderr.splitlines()[:2]
    assert first == "launcher: the recipe broke while it was imported: ValueError: the spanner in the works"
    assert where.endswith("tiny.py:3")
    assert "connection" not in done.stderr.lower()
    assert "Traceback" not in done.stderr + done.stdout
    assert "Traceback" in scene.launch("logs", "r", "--rank", 1).stdout
    assert scene.status("r")["status"] == "failed"


def test_a_rank_that_breaks_in_the_middle_is_the_cause_not_its_neighbour(scene: Scene) -> None:
    breaks = (
        "import os, sys\n"
        "if os.environ.get('RANK') == '1':\n"
        "    from launcher.training.loop import Loop\n"
        "    step = Loop._step\n"
        "    def broken(self, batch):\n"
        "        if self.state.step == 7:\n"
        "            raise ArithmeticError('rank 1 alone breaks at step 7')\n"
        "        return step(self, batch)\n"
        "    Loop._step = broken\n"
    )
    scene.recipe.write_text(breaks + scene.recipe.read_text())
    done = scene.run("r", "--processes", 2)
    assert done.returncode == 5
    assert done.stderr.splitlines()[0] == "launcher: ArithmeticError: rank 1 alone breaks at step 7"
    assert "where: rank 1" in done.stderr
    assert scene.outcome("r")["steps"] == 7
    assert [p["what"] for p in scene.outcome("r")["problems"]] == ["ArithmeticError: rank 1 alone breaks at step 7"]


def test_a_recipe_that_is_another_one_in_the_ranks_is_refused(scene: Scene) -> None:
    scene.write_recipe(
        {"epochs=1": "epochs=2 if 'RANK' in os.environ else 1", "from launcher": "import os\nfrom launcher"}
    )
    done = scene.run("r", "--processes", 2)
    assert done.returncode == 5
    assert done.stderr.splitlines()[0] == "launcher: the recipe has changed since the run was planned"
    assert str(scene.recipe) in done.stderr
    assert not (scene.runs / "r" / "events.jsonl").exists()
    assert scene.status("r")["status"] == "failed"


def test_torchrun_with_another_number_of_processes_than_was_asked_for_is_refused(scene: Scene) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2]
    done = scene.carry_out(*torchrun, scene.recipe.name, "--name", "r", "--processes", 3)
    assert done.returncode != 0
    assert "launcher: --processes 3, but 2 were started" in done.stderr
    assert done.stderr.count("launcher: ") == 1  # rank 0 speaks for all
    assert not scene.runs.exists()
