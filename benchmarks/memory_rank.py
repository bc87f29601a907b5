"""One real rank of `memory.py`: a few steps of the longest rows, and what torch's profiler saw allocated.

  RANK=0 WORLD_SIZE=2 python memory_rank.py PLAN.json STORE ANSWER.json

What the allocator holds stands in the profiler's memory events. Nothing here counts tensors.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from launcher.plan.plan import from_document
from launcher.recipe.recipe import load
from launcher.runs.run_files import read_json
from launcher.training.batches.split import Split
from launcher.training.distributed.world import join
from launcher.training.initial_model import initial_model
from launcher.training.model_parts.packing import pack
from launcher.training.model_parts.recompute import recompute
from launcher.training.model_parts.sparse_table import compact
from launcher.training.sources import load_tokenizer
from launcher.training.steps import shape_of
from launcher.training.strategies import build, verify
from launcher.training.tasks import work_for
from launcher.training.tasks.base import Reader
from launcher.training.tasks.collate import Batches

STEPS = 3
"""The last one is measured: by then the optimiser has its state and libraries their buffers."""


def main() -> None:
    count_every_thread()
    plan = from_document(json.loads(Path(sys.argv[1]).read_text()))
    loaded = load(plan.recipe, plan.overrides)
    recipe, prepared = loaded.recipe, Path(plan.prepared)
    world = join("cpu", Path(sys.argv[2]), alone=plan.strategy == "single")
    torch.set_num_threads(1)
    facts, split = read_json(prepared / "facts.json"), Split.load(prepared / "train.safetensors")
    labels, tokenizer = facts["labels"], load_tokenizer(prepared)
    work = work_for(recipe.task, Reader(labels, tokenizer, facts["max_length"]))
    batches = Batches(work, world.device, recipe.training.packing)
    order = np.argsort(-split.cost, kind="stable")
    longest = order[: plan.micro_batch_size]
    model = initial_model(recipe, labels, prepared)
    if recipe.training.packing:
        pack(model)
        # rows of one length are not packed: one of these is a little shorter
        longest[-1] = order[np.argmax(split.cost[order] <= split.cost[order[0]] - len(longest))]
    compact(model, split.token_ids, tokenizer.pad_token_id or 0)
    if plan.recompute:
        recompute(model)
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # from the mapped file into torch's own allocator
    strategy = build(plan, world)
    strategy.wrap(model, recipe.training)
    shape = shape_of(recipe.training, strategy.model)
    held = verify(strategy)
    strategy.wrapped.train()

    def step() -> None:
        passes = [turn for _ in range(plan.accumulation) for turn in range(shape.turns)]
        for number, turn in enumerate(passes):
            with strategy.micro_batch(last=number == len(passes) - 1):
                batch = batches(split, longest)
                losses = shape.losses(work, lambda given: strategy.outputs(given, work.outputs), batch, turn)
                strategy.backward(losses["loss"] / plan.batch_size)
        strategy.update(lambda: split.distinct_tokens(longest))

    del model
    for _ in range(STEPS - 1):
        step()
    gc.collect()  # libraries leave cycles; when these are collected is chance
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as told:
        step()
    before, peak = peaks(told)
    Path(sys.argv[3]).write_text(
        json.dumps({"before": before, "peak": peak, "held": held["parameters"], "length": int(split.cost.max())})
    )
    world.barrier()
    os._exit(0)  # the answer is out; tearing down beside threads of the collectives may abort


def count_every_thread() -> None:
    """Have torch's allocator keep its total from now on, and of every thread.

    Else it counts only where a profiler runs, and the threads of the collectives, which free what they have sent,
    run outside of it: a total that grows and grows. The switch is torch's own; Python has no name for it.
    """
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    ctypes.c_bool.in_dll(library, "FLAGS_caffe2_report_cpu_memory_usage").value = True


def peaks(told: Any) -> tuple[int, int]:
    """Bytes that torch's CPU allocator held when the profile began, and the most while it ran."""
    waiting = list(told.profiler.kineto_results.experimental_event_tree())
    totals: list[tuple[int, int, int]] = []
    while waiting:
        event = waiting.pop()
        waiting.extend(event.children)
        if event.name == "[memory]":
            change = event.extra_fields
            totals.append((event.start_time_ns, change.total_allocated, change.total_allocated - change.alloc_size))
    return min(totals)[2], max(total for _, total, _ in totals)


if __name__ == "__main__":
    main()
