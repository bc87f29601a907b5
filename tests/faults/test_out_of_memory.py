"""A rank that cannot have the memory for its micro-batch: the run goes on with half of it, and says so."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from proof import checkpoint_steps, litter
from scene import Scene

from launcher.errors import MARKS

LIMITED = """import ctypes, os, resource

if "RANK" in os.environ:  # a rank, forked from the nursery, may have so much more than it has now
    ctypes.CDLL(None).mallopt(-3, 1 << 20)  # large tensors are handed back, so that the peak is that of a step alone
    pages = int(open("/proc/self/statm").read().split()[0])
    most = pages * resource.getpagesize() + MARGIN_MIB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))

"""
"""A real limit of the kernel on the rank's address space, put above a recipe."""
HUNGRY = """from launcher.training.loop import Loop

step = Loop._step
def hungry(self, batch):
    if self.state.step >= FROM and self.plan.micro_batch_size > ENOUGH and self.strategy.world.rank == RANK:
        import torch
        torch.empty(1 << 50)
    return step(self, batch)
Loop._step = hungry

"""
"""From one step on and on one rank, a micro-batch above `ENOUGH` asks for a petabyte: the real allocator refuses."""
SLOW = """import time
from launcher.training.checkpoints.writer import Checkpoints

write = Checkpoints._write
def slowly(self, *told):
    time.sleep(2)
    write(self, *told)
Checkpoints._write = slowly

"""
"""A disk that is still at the checkpoint when the steps after it have been done."""
CALM = {"dropout=0.1": "dropout=0"}


def put_above(scene: Scene, text: str, **values: int) -> None:
    for name, value in values.items():
        text = text.replace(name, str(value))
    scene.recipe.write_text(text + scene.write_recipe(CALM).read_text())


def losses(run: Path) -> list[float]:
    """The loss of every step; for a step that was done twice the newer one."""
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    newest = {line["step"]: line["loss"] for line in lines}
    return [newest[step] for step in sorted(newest)]


def assert_same_curve(scene: Scene, name: str, micro: int, *words: object) -> None:
    """A run with that micro-batch from the start has the same losses."""
    scene.finish("twin", "--set", f"training.micro_batch_size={micro}", *words)
    assert [a["ended"] for a in scene.outcome("twin")["attempts"]] == ["finished"]
    ours, theirs = losses(scene.runs / name), losses(scene.runs / "twin")
    assert len(ours) == len(theirs) == scene.outcome(name)["steps"]
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1e-6


def brief(outcome: dict[str, Any]) -> list[tuple[int, int, str]]:
    return [(a["micro_batch_size"], a["accumulation"], a["ended"]) for a in outcome["attempts"]]


def test_under_a_real_limit_the_micro_batch_is_halved_until_it_fits(scene: Scene) -> None:
    scene.environment["MALLOC_ARENA_MAX"] = "1"  # no address space set aside for threads
    words = " ".join(f"w{n}" for n in range(200))
    for name in ("good", "bad"):
        (scene.folder / f"{name}.txt").write_text("".join(f"{name} {words} {n}\n" for n in range(80)))
    big = {
        **CALM,
        "dimension=16": "dimension=6144",
        "batch_size=8, epochs=1": "batch_size=128, epochs=2, max_steps=3",
    }
    free = scene.write_recipe(big).read_text()
    scene.recipe.write_text(LIMITED.replace("MARGIN_MIB", "1250") + free)  # 64 rows take 1,600 MiB, 32 rows 900
    done = scene.finish("r", "--processes", 2)
    outcome = scene.outcome("r")
    *failed, (micro, accumulation, ended) = brief(outcome)
    assert (outcome["status"], outcome["world_size"], outcome["steps"], ended) == ("finished", 2, 3, "finished")
    assert failed and all(end == "out_of_memory" for _, _, end in failed)
    assert [size for size, _, _ in failed] + [micro] == [64 >> n for n in range(len(failed) + 1)]
    assert all(size * parts == 64 for size, parts in [(micro, accumulation), *(row[:2] for row in failed)])
    told = [a["why"] for a in outcome["attempts"][:-1]]
    assert all(any(mark in why.lower() for mark in (*MARKS, "memoryerror")) for why in told), told
    assert "attempt 1 ran out of memory with 64 rows at a time; attempt 2 halves them" in done.stdout
    plan = json.loads((scene.runs / "r" / "plan.json").read_text())
    assert (plan["micro_batch_size"], plan["accumulation"], plan["batch_size"]) == (micro, accumulation, 128)
    scene.recipe.write_text(free)
    assert_same_curve(scene, "r", micro, "--processes", 2)


def test_the_next_attempt_goes_on_from_the_newest_checkpoint(scene: Scene) -> None:
    put_above(scene, SLOW + HUNGRY, FROM=13, ENOUGH=2, RANK=1)
    done = scene.finish("r", "--processes", 2, "--set", "training.checkpoint_every=5")
    assert brief(scene.outcome("r")) == [(4, 1, "out_of_memory"), (2, 2, "finished")]
    assert "resumed at step 10 of 21" in done.stdout
    assert "32 global" not in done.stdout and "8 global = 2 processes x 2 x 2 accumulation" in done.stdout
    assert checkpoint_steps(scene.runs / "r")[-1] == 21 and not litter(scene.runs / "r")
    assert_same_curve(scene, "r", 2, "--processes", 2)


def test_without_a_checkpoint_it_begins_again(scene: Scene) -> None:
    put_above(scene, HUNGRY, FROM=3, ENOUGH=1, RANK=0)
    done = scene.finish("r")
    assert brief(scene.outcome("r")) == [(8, 1, "out_of_memory"), (4, 2, "out_of_memory"), (2, 4, "out_of_memory"),
                                         (1, 8, "finished")]  # fmt: skip
    assert "resumed" not in done.stdout
    assert_same_curve(scene, "r", 1)


def test_one_row_at_a_time_is_the_end_with_advice_and_a_resumed_run_remembers(scene: Scene) -> None:
    put_above(scene, HUNGRY, FROM=3, ENOUGH=0, RANK=0)
    done = scene.run("r", "--set", "training.micro_batch_size=2")
    assert done.returncode == 5
    first, *rest = done.stderr.splitlines()
    assert first.startswith("launcher: one row at a time is too much for the memory: RuntimeError: ")
    assert any("--strategy fsdp2 or zero3" in line for line in rest)
    assert "Traceback" not in done.stderr + done.stdout
    assert brief(scene.outcome("r")) == [(2, 4, "out_of_memory"), (1, 8, "out_of_memory")]
    assert scene.status("r")["status"] == "failed"
    put_above(scene, HUNGRY, FROM=3, ENOUGH=1, RANK=0)
    scene.finish("r", "--set", "training.micro_batch_size=2", "--resume")
    assert brief(scene.outcome("r"))[2:] == [(1, 8, "finished")]


def test_a_model_that_cannot_be_built_is_not_tried_with_fewer_rows(scene: Scene) -> None:
    breaks = (
        "import os\n"
        "if 'RANK' in os.environ:\n"
        "    from launcher.training import rank\n"
        "    def too_large(*_):\n"
        "        import torch\n"
        "        torch.empty(1 << 50)\n"
        "    rank.initial_model = too_large\n"
    )
    put_above(scene, breaks)
    done = scene.run("r")
    assert done.returncode == 5
    assert "can't allocate memory" in done.stderr and "shard the model over more processes" in done.stderr
    assert brief(scene.outcome("r")) == [(8, 1, "failed")]


def test_a_killed_rank_proves_nothing(scene: Scene) -> None:
    put_above(scene, HUNGRY.replace("import torch\n        torch.empty(1 << 50)", "import os\n        os.kill(os.getpid(), 9)"), FROM=3, ENOUGH=0, RANK=0)  # noqa: E501  # fmt: skip
    done = scene.run("r")
    assert done.returncode == 5
    assert done.stderr.startswith("launcher: rank 0 was killed by SIGKILL (after step 3, as in the attempt before)")
    assert brief(scene.outcome("r")) == [(8, 1, "fault"), (8, 1, "failed")]


def test_ranks_started_by_hand_are_told_which_value_to_lower(scene: Scene) -> None:
    put_above(scene, HUNGRY, FROM=3, ENOUGH=2, RANK=1)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2]
    done = scene.carry_out(*torchrun, scene.recipe.name, "--name", "r")
    assert done.returncode != 0
    assert "lower training.micro_batch_size" in done.stderr
    again = scene.carry_out(*torchrun, scene.recipe.name, "--name", "r2", "--set", "training.micro_batch_size=2")
    assert again.returncode == 0, again.stderr
