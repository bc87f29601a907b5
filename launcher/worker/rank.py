"""One rank of a run, forked by the fork server.

Gate 3 is passed here: a rank imports the recipe again and compares what it got with what the plan promised
(`attempts.planned_recipe`).
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import logging
import os
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher import json_lines
from launcher.errors import Interrupted
from launcher.launch import run_request
from launcher.plan import plan as planning
from launcher.recipe.recipe import LoadedRecipe
from launcher.runs import failure, pulse
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.training import torchvision_guard

if TYPE_CHECKING:
    from launcher.training.distributed.world import World


def hush_libraries() -> None:
    """Silence warnings that libraries address to their own developers, and hide a library that would break them."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for package in ("transformers", "accelerate", "torch", "peft"):
        warnings.filterwarnings("ignore", category=FutureWarning, module=package)
    for name in ("bitsandbytes", "torchao", "torch.utils._pytree"):  # torchao's import warns of itself
        logging.getLogger(name).setLevel(logging.ERROR)
    torchvision_guard.hide_broken()


def import_heavy(modules: Iterable[str] = ()) -> None:
    """Import what every rank needs, and these modules: nothing that starts threads (the fork server forks after it)."""
    hush_libraries()
    gc.disable()  # imported objects stay: looking through them again and again takes a sixth of the time
    import transformers

    import launcher.training.rank  # noqa: F401 (the ranks that are forked need it)

    transformers.utils.logging.disable_progress_bar()
    for module in modules:
        with contextlib.suppress(Exception):  # a rank that needs it says what is wrong
            importlib.import_module(module)
    gc.enable()


def train_rank(folder: str, attempt: int, rank: int, began: float, head: list[Any] | None = None) -> int:
    """Be one rank that the fork server forked; its exit status.

    Ranks of several machines meet at the first one's `head`: address and port.
    """
    run = RunFolder(Path(folder))
    try:
        return _train(run, attempt, rank, began, (head[0], head[1]) if head else run.attempt(attempt).store)
    except BaseException as error:
        return failure.tell(run, attempt, rank, error)


def _train(run: RunFolder, attempt: int, rank: int, began: float, meeting: Path | tuple[str, int]) -> int:
    plan = planning.from_document(read_json(run.plan))
    pulse.begin(run.attempt(attempt).pulse(rank), plan.hang_seconds)
    loaded = run_request.planned_recipe(run, plan)
    from launcher.training.distributed.allreduce_check import measured
    from launcher.training.distributed.world import join

    world = join(plan.device, meeting, alone=plan.strategy == "single")
    if plan.nodes > 1:
        note = measured(world)
        if world.leads:
            json_lines.append_line(run.attempt(attempt).notes, {"note": note, "time": time.time()})
    return live(run, plan, loaded, attempt, began, world)


def live(run: RunFolder, plan: planning.Plan, loaded: LoadedRecipe, attempt: int, began: float, world: World) -> int:
    """Train, in a process group that exists; the exit status."""
    import torch

    from launcher.training.rank import RankTraining

    faulthandler.enable()
    torch.set_num_threads(plan.threads_per_process)
    status = RankTraining(loaded, plan, run, attempt, world, began).run()
    world.barrier()
    return 0 if status == "finished" else Interrupted.exit_code
