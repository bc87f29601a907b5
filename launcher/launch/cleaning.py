"""Making room: what of runs and of the cache can be removed, and removing it.

A run is removed whole, or only the checkpoints that it no longer needs; of the cache, what has not been used for long.
What is being driven, waits in a queue, or is not a run stays, and is listed with the reason.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.cluster import job_status
from launcher.cluster.job_array import ArrayFolder
from launcher.errors import BackendError, Problem
from launcher.host import turns
from launcher.host.this_user import cache_folder
from launcher.runs import driver, run_folder
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

DAY = 24 * 60 * 60
DOOMED = ".removing-{}"
"""The name of a folder while it is removed, so that half of it is never taken for the whole."""


@dataclass(frozen=True)
class Item:
    """Something that takes room."""

    path: Path
    what: str
    """`run`, `checkpoints`, `prepared data`, `fastText vectors` or `word matrices`."""
    size: int
    kept: str = ""
    """Why it stays; empty where it can go."""

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {"path": str(self.path), "what": self.what, "bytes": self.size, "kept": self.kept or None}


def of_runs(folders: Sequence[RunFolder], checkpoints: bool) -> list[Item]:
    """These runs, or the checkpoints of those that have finished: their models are saved and verified."""
    items = []
    for folder in folders:
        kept = _why_kept(folder)
        if checkpoints:
            if not kept and driver.status_of(folder) != "finished":
                kept = "it has not finished: it goes on from these"
            paths = [attempt.path / "checkpoints" for attempt in folder.attempts()]
            items += [Item(path, "checkpoints", _size(path), kept) for path in paths if path.is_dir()]
        else:
            items.append(Item(folder.path, "run", _size(folder.path), kept))
    return items


def of_cache(days: float, runs: Path) -> list[Item]:
    """What has not been used for so many days."""
    root, oldest = cache_folder(), time.time() - days * DAY
    used = {Path(str((read_json(folder.plan) or {}).get("prepared"))) for folder in _at_work(runs)}
    items = []
    for path in sorted(root.glob("prepared/*")):
        if path.is_dir() and not path.is_symlink():
            age = _last_use(path.with_suffix(".lock"), path)
            kept = "a run is using it" if path in used or _is_mapped(path) else ""
            items.append((age, Item(path, "prepared data", _size(path), kept)))
    for what, files in (("fastText vectors", "fasttext/*.bin"), ("word matrices", "matrices/*.safetensors")):
        items += [(_last_use(path), Item(path, what, _size(path))) for path in sorted(root.glob(files))]
    return [item for last, item in items if last < oldest]


def remove(item: Item) -> None:
    """Remove it. Raises BackendError where it cannot be, or where a process has begun to use it meanwhile."""
    try:
        if item.what == "run":
            _remove_run(RunFolder(item.path))
        elif item.what == "checkpoints":
            with _driven_by_us(RunFolder(item.path.parents[2])):
                _remove_tree(item.path)
        elif item.what == "prepared data":
            with _locked(item.path.with_suffix(".lock")):
                _remove_tree(item.path)
        else:
            item.path.unlink(missing_ok=True)
            item.path.with_suffix(".json").unlink(missing_ok=True)
    except OSError as error:
        what = f"it cannot be removed: {error.strerror or error}"
        raise BackendError(Problem(what, str(error.filename or item.path))) from None


def _why_kept(folder: RunFolder) -> str:
    """Why a run must stay as it is; empty where it need not."""
    if not (folder.plan.is_file() and folder.recipe.is_file()):
        return "it is not a run: plan.json or recipe.json is missing"
    if driver.lease_holder(folder) is not None:
        return "a process here drives it"
    if (host := driver.driven_elsewhere(folder)) is not None:
        return f"it is driven on {host}"
    try:
        queue = job_status.certain_standing(folder)
    except BackendError as error:
        return f"the state of its job is not known: {error.problems[0].what}"
    return f"its job {queue.job} is {queue.state}" if queue is not None and queue.alive else ""


def _at_work(runs: Path) -> Iterator[RunFolder]:
    for folder in run_folder.all_runs(runs):
        with contextlib.suppress(BackendError):  # a damaged run is not at work
            if _why_kept(folder):
                yield folder


def _remove_run(folder: RunFolder) -> None:
    with _driven_by_us(folder):
        doomed = folder.path.with_name(DOOMED.format(folder.name))
        folder.path.rename(doomed)
        RunFolder(doomed).plan.unlink(missing_ok=True)
        shutil.rmtree(doomed)
    for tasks in folder.path.parent.glob("*/array.json"):  # an array goes with the last of its runs
        members = ArrayFolder(tasks.parent).runs()
        if folder in members and not any(member.path.exists() for member in members):
            shutil.rmtree(tasks.parent)


@contextlib.contextmanager
def _driven_by_us(folder: RunFolder) -> Iterator[None]:
    """No other process begins to drive the run meanwhile. Raises BackendError where one does already."""
    with turns.taken(folder.path):
        if kept := _why_kept(folder):
            raise BackendError(Problem(f"run {folder.name} stays: {kept}", str(folder.path)))
        driver.take_lease(folder)
    try:
        yield
    finally:
        if folder.path.is_dir():
            driver.drop_lease(folder)


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """No process prepares this meanwhile. Raises BackendError where one does."""
    try:
        with turns.alone(lock, wait=False):
            yield
    except BlockingIOError:
        raise BackendError(Problem("it is being prepared now", str(lock))) from None


def _remove_tree(path: Path) -> None:
    doomed = path.with_name(DOOMED.format(path.name))
    path.rename(doomed)
    shutil.rmtree(doomed)


def _is_mapped(folder: Path) -> bool:
    """Whether a process of this machine, as far as we may look, has a file of it mapped."""
    mark = f" {folder.resolve()}/"
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            if mark in maps.read_text(encoding="utf-8", errors="replace"):
                return True
    return False


def _last_use(*paths: Path) -> float:
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)


def _size(path: Path) -> int:
    """Bytes on disk; links count for themselves, not for their targets."""
    inside: Iterable[Path] = path.rglob("*") if path.is_dir() else ()
    total = 0
    for one in (path, *inside):
        with contextlib.suppress(OSError):
            total += one.lstat().st_blocks * 512
    return total
