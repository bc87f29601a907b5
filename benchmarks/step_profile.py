"""Where the time of an optimiser step goes, and what each saving of ours is worth. One process, MiniLM, full tuning.

The profile is torch's own, of the operators' own time. The ablations take turns in one process on the same batches,
so their ratios compare neighbours in time:

  as it is            the loop as `launcher run` runs it
  whole table         the token table trains whole, not in the rows that the training split names
  dense clipping      the gradient's norm and clipping go over the whole table, not over the rows of the batch

    python benchmarks/step_profile.py --data /tmp/data --task sst2 --json /tmp/profile.json
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launcher.launch.fork_server import MEMORY, THREADS

if "GOMP_SPINCOUNT" not in os.environ or "MALLOC_TRIM_THRESHOLD_" not in os.environ:
    import sys

    # as the nursery has them: they count from the first instruction of a process
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **THREADS, **MEMORY})

import torch
from corpora import RECIPES, TASKS, cut
from measure import save, say, say_machine, table

from launcher.host import machine_facts
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.recipe.recipe import load
from launcher.training import sources
from launcher.training.batches.split import Split
from launcher.training.distributed.world import World
from launcher.training.initial_model import initial_model
from launcher.training.loop import Loop
from launcher.training.methods import method_work
from launcher.training.model_parts.sparse_table import compact
from launcher.training.optimiser import build_schedule
from launcher.training.prepare import prepare
from launcher.training.steps import shape_of
from launcher.training.strategies import build
from launcher.training.streaming import rows_for
from launcher.training.tasks import work_for
from launcher.training.tasks.base import Reader
from launcher.training.tasks.collate import Batches

WARM, TURN, TURNS = 5, 10, 8
SHOWN = 12


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sst2_alps/ and conll2003/")
    parser.add_argument("--task", choices=TASKS, default="sst2")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--json", type=lambda name: Path(name).resolve(), help="write all raw figures there")
    return parser.parse_args()


def loop_for(task: str, precision: str, whole_table: bool, dense: bool) -> Loop:
    """A loop as `training/rank.py` makes it, without its observer: only steps are taken."""
    loaded = load(RECIPES[task], {"training.precision": precision})
    found = prepare(loaded.recipe)
    folder = Path(found["folder"])
    plan = planning.make(loaded, machine_facts.facts(), Placement(strategy="single"), found, machine_facts.versions())
    world = World(0, 0, 1, torch.device("cpu"))
    strategy, split = build(plan, world), Split.load(folder / "train.safetensors")
    reader = Reader(found["labels"], sources.load_tokenizer(folder), found["max_length"])
    work, nothing = work_for(loaded.recipe.task, reader), lambda *_: None
    model = initial_model(loaded.recipe, found["labels"], folder)
    if not whole_table:
        compact(model, split.token_ids, reader.tokenizer.pad_token_id or 0)
    strategy.wrap(model, loaded.recipe.training)
    if dense:
        strategy.table = None
    loop = Loop(
        plan,
        loaded.recipe.training,
        strategy,
        build_schedule(strategy.optimiser, loaded.recipe.training, plan.steps),
        work,
        rows_for(loaded.recipe, plan, split, work, world),
        Batches(work, world.device),
        shape_of(loaded.recipe.training, strategy.model),
        observer=nothing,
        better="max",
        method=method_work(loaded.recipe.peft),
        stop_asked=lambda: False,
    )
    strategy.wrapped.train()
    return loop


def steps(loop: Loop, first: int, number: int) -> float:
    """Seconds of so many steps on the batches from `first` on."""
    began = time.perf_counter()
    for step in range(first, first + number):
        loop._step(loop.rows.step(step))
    return time.perf_counter() - began


def profile(loop: Loop) -> list[dict[str, Any]]:
    """The operators that take most, by their own time, as parts of all."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as told:
        steps(loop, WARM, TURN)
    found = told.key_averages()
    total = sum(event.self_cpu_time_total for event in found)
    most = sorted(found, key=lambda event: -event.self_cpu_time_total)[:SHOWN]
    return [{"operator": event.key, "part": event.self_cpu_time_total / total, "calls": event.count} for event in most]


def main() -> None:
    asked = arguments()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    facts = say_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cut(asked.task, asked.data, folder, batch_size=16)
        os.chdir(folder)
        os.environ["RECIPE_LAUNCHER_CACHE"] = str(folder / "cache")
        made: dict[str, Callable[[], Loop]] = {
            "as it is": lambda: loop_for(asked.task, asked.precision, whole_table=False, dense=False),
            "whole table": lambda: loop_for(asked.task, asked.precision, whole_table=True, dense=False),
            "dense clipping": lambda: loop_for(asked.task, asked.precision, whole_table=False, dense=True),
            "both": lambda: loop_for(asked.task, asked.precision, whole_table=True, dense=True),
        }
        loops = {what: make() for what, make in made.items()}
        for loop in loops.values():
            steps(loop, 0, WARM)
        seconds: dict[str, list[float]] = {what: [] for what in loops}
        for turn in range(TURNS):
            for what, loop in loops.items():
                seconds[what].append(steps(loop, WARM + turn * TURN, TURN))
        shares = profile(loops["as it is"])
    ours = seconds["as it is"]
    rows = []
    for what, taken in seconds.items():
        ratio = statistics.median(theirs / mine for theirs, mine in zip(taken, ours, strict=True))
        rows.append([what, f"{1000 * statistics.median(taken) / TURN:.1f}", f"{ratio:.3f}"])
    table(["variant", "milliseconds a step (median)", "time beside `as it is` (median of pairs)"], rows)
    say("")
    table(
        ["operator", "share of a step", "calls"], [[s["operator"], f"{s['part']:.1%}", str(s["calls"])] for s in shares]
    )
    save(asked.json, facts, vars(asked), {"seconds": seconds, "profile": shares})


if __name__ == "__main__":
    main()
