"""Processes that are killed: the root cause comes first, nothing is orphaned, and the run can go on."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from proof import assert_same, checkpoint_steps, litter
from scene import Launched, Scene, wait_until

Begin = Callable[..., Launched]
Twin = Callable[[int], Path]
ALARM = 60.0
"""Seconds: what takes a fifth of a second here, and half an hour where a collective waits for the dead."""


def first_line(launched: Launched) -> str:
    return launched.complained.read_text().splitlines()[0]


def test_a_killed_rank_ends_the_run_and_is_named(slow: Scene, begin: Begin, twin: Twin) -> None:
    launched = begin("r", "--processes", 2, "--set", "training.checkpoint_every=20")
    launched.wait_for_step(50)
    os.kill(launched.ranks()[1], signal.SIGKILL)
    killed = time.monotonic()

    assert launched.end() == 5, launched.output()
    assert time.monotonic() - killed < ALARM
    assert first_line(launched) == "launcher: rank 1 was killed by SIGKILL"
    assert launched.left_over() == []
    assert "Traceback" not in launched.output()
    outcome = slow.outcome("r")
    assert outcome["status"] == "failed" == slow.status("r")["status"]
    assert "rank 1 was killed by SIGKILL" in outcome["problems"][0]["what"]
    assert "resume with: launcher run tiny.py --name r --resume --processes 2" in launched.complained.read_text()

    done = slow.finish("r", "--processes", 2, "--resume", "--set", "training.checkpoint_every=20")
    assert "resumed at step" in done.stdout
    assert_same(launched.path, twin(2))
    assert not litter(launched.path)


def test_when_the_launcher_is_killed_everything_dies_and_the_run_goes_on(slow: Scene, begin: Begin, twin: Twin) -> None:
    launched = begin("r", "--processes", 2)
    launched.wait_for_step(170)  # the first epoch ended at step 162
    children = launched.left_over()
    assert len(children) == 3
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


def test_a_killed_nursery_is_reported(slow: Scene, begin: Begin) -> None:
    launched = begin("r", "--processes", 2)
    launched.wait_for_step(10)
    os.kill(launched.nursery(), signal.SIGKILL)

    assert launched.end() == 5, launched.output()
    assert "the process that starts the ranks ended with status -9" in first_line(launched)
    assert "Traceback" not in launched.output()
    wait_until(lambda: not launched.left_over(), "the end of the ranks", seconds=ALARM)
    assert slow.status("r")["status"] == "failed"


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
