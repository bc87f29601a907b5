"""Trackers of a run: which there are, whether they can be had, and the processes that tell them while it goes on.

Each has a process of its own (`launcher.worker.tracker`), which follows the run's files. No rank and no step knows of
it; a network that is slow or gone stops nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from launcher import secret
from launcher.child import words
from launcher.errors import LauncherError, PlanError, Problem, RecipeError, did_you_mean
from launcher.json_files import write_json
from launcher.json_lines import append_line
from launcher.recipe.tracker import CustomTracker
from launcher.recipe.user_file_check import text_of
from launcher.runs.run_folder import RunFolder
from launcher.runs.trackers import kept

SERVICES = ("mlflow", "swanlab", "trackio", "wandb")
"""Each is the name of a package too. TensorBoard's files are always written."""
SECONDS_TO_FINISH = 20.0
"""How long trackers have after the run has ended; then they are ended."""
SECONDS_MORE = 5.0
PAUSE = 0.05
OF_OTHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
BEGINNINGS = ("ACCELERATE_", "FSDP_", "OMPI_", "PMI_", "MPI_", "MV2_", "TORCHELASTIC_")
"""What makes a library take a process for a rank of a group that waits for it."""


def documents(trackers: Sequence[str | CustomTracker], folder: Path) -> list[dict[str, Any]]:
    """What the run's folder keeps of them; files of CustomTracker count from `folder`, names of files from here.

    Raises RecipeError or PlanError with all that is wrong.
    """
    kept: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for tracker in trackers:
        try:
            one = _document(tracker, folder)
        except LauncherError as error:
            problems += error.problems
            continue
        if any(one["name"] == other["name"] for other in kept):
            problems.append(Problem(f"{one['name']} is given twice", "--tracker", "leave one out"))
        kept.append(one)
    if problems:
        raise PlanError(problems)
    return kept


def _document(tracker: str | CustomTracker, folder: Path) -> dict[str, Any]:
    if isinstance(tracker, str) and tracker.endswith(".py"):
        path = Path(tracker)
        tracker, folder = CustomTracker(file=path.name), path.parent
    if isinstance(tracker, CustomTracker):
        text = text_of(tracker, folder)
        options = json.dumps(tracker.options, ensure_ascii=False)
        for number in [*secret.lines_with(text), *secret.lines_with(options)]:
            what = "there is a password or a token in it, and the run's folder keeps a copy"
            raise RecipeError(Problem(what, f"{tracker.file}:{number}", "read it from os.environ in the file"))
        return {"name": Path(tracker.file).name, "file": tracker.file, "options": tracker.options, "source": text}
    if tracker not in SERVICES:
        if tracker == "tensorboard":
            raise PlanError(Problem("TensorBoard's files are always written", "--tracker", "leave it out"))
        do = did_you_mean(tracker, SERVICES) or f"one of {', '.join(SERVICES)}, or a Python file: CustomTracker"
        raise PlanError(Problem(f"there is no tracker {tracker!r}", "--tracker", do))
    found = importlib.util.find_spec(tracker)
    if found is None or found.origin is None:  # a mere folder of that name, as these write one
        raise PlanError(Problem(f"{tracker} is not installed here", "--tracker", f"pip install {tracker}"))
    return {"name": tracker}


def note(folder: RunFolder, trackers: Sequence[str | CustomTracker], recipes: Path) -> None:
    """Keep in the run's folder whom it reports to. None given: those that it has stay."""
    if trackers:
        folder.tracking.mkdir(exist_ok=True)
        write_json(folder.trackers, {"trackers": documents(trackers, recipes)})


@contextlib.contextmanager
def told(folder: RunFolder, tick: Callable[[], None], stop_asked: Callable[[], int]) -> Iterator[None]:
    """Have the run's trackers told of all that happens until this ends; nothing here breaks the run."""
    children = dict(_started(folder))
    try:
        yield
    finally:
        for child in children.values():
            assert child.stdin is not None
            with contextlib.suppress(OSError):
                child.stdin.close()  # the run has ended
        deadline = time.monotonic() + SECONDS_TO_FINISH + SECONDS_MORE
        while any(child.poll() is None for child in children.values()) and time.monotonic() < deadline:
            if stop_asked() > 1:
                break
            with contextlib.suppress(LauncherError):  # what ended the run says more
                tick()
            time.sleep(PAUSE)
        for name, child in children.items():
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)  # also what a library has started there
            if child.wait() != 0:
                what = f"{name} was not told everything; the rest: launcher track {folder.path} --tracker {name}"
                _say(folder, what)
        with contextlib.suppress(LauncherError):
            tick()


def _started(folder: RunFolder) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    try:
        for document in kept(folder):
            name = str(document["name"])
            with (folder.tracking / f"{name}.log").open("ab") as log:
                child = subprocess.Popen(
                    words("launcher.worker.tracker", str(folder.path), name, str(SECONDS_TO_FINISH)),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=environment(),
                    start_new_session=True,  # Ctrl-C is for the run; its trackers hear of its end
                )
            yield name, child
    except (OSError, LauncherError, LookupError, TypeError) as error:
        _say(folder, f"a tracker was not started: {error}")


def environment() -> dict[str, str]:
    """That of this process, for one that is no rank, computes nothing and leaves GPUs alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(BEGINNINGS)}
    return {**{name: value for name, value in kept.items() if name not in OF_OTHERS}, "CUDA_VISIBLE_DEVICES": ""}


def problems(trackers: Sequence[str | CustomTracker], folder: Path) -> list[Problem]:
    """All that is wrong with them; as `documents`."""
    try:
        documents(trackers, folder)
    except LauncherError as error:
        return error.problems
    return []


def named(trackers: Sequence[str | CustomTracker]) -> list[str]:
    """Their names, as typed."""
    return [tracker if isinstance(tracker, str) else tracker.file for tracker in trackers]


def _say(folder: RunFolder, text: str) -> None:
    """A line that whoever started the run sees."""
    with contextlib.suppress(OSError, IndexError):
        append_line(folder.attempts()[-1].notes, {"note": text, "time": time.time()})
