"""How a rank reports why it failed: one document in its attempt's folder, made from the exception alone.

The launcher decides by it what comes next (`launcher.launch.supervisor`): running out of memory over a batch is kept
apart from what a smaller micro-batch would not fix. A rank that the kernel killed reports nothing.
"""

from __future__ import annotations

import contextlib
import errno
import time
import traceback
from pathlib import Path
from typing import Any

from launcher.errors import LauncherError, Problem, broke_over_rows, more_threads, ran_out_of_memory
from launcher.json_files import write_json
from launcher.runs import room
from launcher.runs.root_cause import UNREPORTED
from launcher.runs.run_folder import RunFolder


def tell(run: RunFolder, attempt: int, rank: int, error: BaseException) -> int:
    """Write the report for the launcher; the exit status that this rank ends with."""
    with contextlib.suppress(OSError):  # a full disk
        traceback.print_exc()
    document: dict[str, Any] = {"time": time.time(), "rank": rank}
    document["problems"] = [problem.document() for problem in problems_of(run, rank, error)]
    if ran_out_of_memory(error):
        document |= {"kind": "out_of_memory", "of": "batch" if broke_over_rows(error) else "model"}
    elif room.broke(error):
        document |= {"kind": "full_disk", "free": room.free(run.path)}
    try:
        write_json(run.attempt(attempt).failure(rank), document)
    except OSError:
        return UNREPORTED
    return error.exit_code if isinstance(error, LauncherError) else 70


def problems_of(run: RunFolder, rank: int, error: BaseException) -> list[Problem]:
    """What went wrong, where in the launcher, and what to do; our own errors as they are."""
    if isinstance(error, LauncherError):
        return error.problems
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/launcher/" in f.filename]
    where = f"rank {rank}, {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else f"rank {rank}"
    where += f", {run.path}" if isinstance(error, OSError) and error.errno == errno.ENOSPC else ""
    return [Problem(f"{type(error).__name__}: {error}", where, _advice(error))]


def _advice(error: BaseException) -> str:
    if ran_out_of_memory(error):
        if broke_over_rows(error):
            return "lower training.micro_batch_size (the global batch stays), or embedding.max_length"
        return "shard the model over more processes (--strategy fsdp2 or zero3), or take a smaller one"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "make room and resume the run"
    return more_threads(error)
