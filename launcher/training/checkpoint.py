"""Resumable states: safetensors and JSON only, keyed by parameter name, written off the critical path.

    checkpoints/step-00000120/
      rank-0.safetensors …   each rank's flat ranges [start, stop) of the named tensors: `NAME@START`
      manifest.json          step and loop state, the tensors' shapes, each file's size and SHA-256

Nothing is gathered: each rank writes what it holds, and loading reads the ranges it needs, so a state can be
read by another number of ranks. A checkpoint is one when its manifest is committed: files are written into a
staging folder, synced, and the folder is renamed. A damaged one is passed over for the last good one, and said.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from launcher.errors import Problem, WorkerError
from launcher.rundir import read_json, write_json
from launcher.training.strategies import Piece
from launcher.training.world import World

FORMAT = 2
SECONDS_FOR_ALL_RANKS = 600.0
PREFIX = "step-"
MARGIN = 128 * 1024
"""Bytes that must stay free beside a checkpoint's tensors: its manifest, generators, the run's log."""

Tensors = dict[str, torch.Tensor]


class Checkpoints:
    """The checkpoints of one run, written by one attempt."""

    def __init__(self, folder: Path, attempt: int, world: World, keep: int, say: Callable[[str], None]):
        self.folder, self.attempt, self.world, self.keep, self.say = folder, attempt, world, keep, say
        self.writer: threading.Thread | None = None
        self.failure: OSError | WorkerError | None = None
        self.last_step = -1
        self._sweep()

    def save(self, step: int, pieces: Iterable[Piece], own: Tensors, state: dict[str, Any]) -> None:
        """Start writing the state at `step`: this rank's `pieces`, and `own`, which belongs to it alone.

        Returns once the values are copied; a failure to write (a full disk) is said and the run goes on.
        """
        self.wait()
        self.last_step = step
        held = list(pieces)
        size = self.world.total(torch.tensor([sum(p.values.numel() * p.values.element_size() for p in held)]))
        self._make_staging(step, int(size.item()))
        if self.failure is not None:
            return
        parts = {f"{piece.name}@{piece.start}": piece.values.detach().to("cpu", copy=True) for piece in held}
        parts |= {f"rank-{self.world.rank}.{name}@0": value.flatten().clone() for name, value in own.items()}
        shapes = {
            piece.name: {"shape": list(piece.shape), "dtype": str(piece.values.dtype).removeprefix("torch.")}
            for piece in held
        }
        manifest = {
            "format": FORMAT,
            "step": step,
            "attempt": self.attempt,
            "world_size": self.world.size,
            "state": state,
        }
        self.writer = threading.Thread(target=self._write, args=(step, parts, shapes, manifest), daemon=True)
        self.writer.start()

    def wait(self) -> None:
        """Wait for the write in flight; say what went wrong with it."""
        if self.writer is not None:
            self.writer.join()
            self.writer = None
        if self.failure is not None:
            self.say(f"the checkpoint of step {self.last_step} could not be written, older ones stay: {self.failure}")
            self.failure = None

    def close(self) -> bool:
        """Wait for the last write on all ranks; whether the last one was committed."""
        self.wait()
        self.world.barrier()
        self._sweep()
        return self.last_step < 0 or (self.path(self.last_step) / "manifest.json").is_file()

    def path(self, step: int) -> Path:
        """The folder of the checkpoint at `step`."""
        return self.folder / f"{PREFIX}{step:08d}"

    def newest_good(self) -> dict[str, Any] | None:
        """The manifest of the newest checkpoint whose files are whole; damaged ones are said and passed over."""
        for path in sorted(self.folder.glob(f"{PREFIX}*"), reverse=True):
            manifest, damage = inspect(path)
            if manifest is not None and not damage:
                best = manifest["state"].get("best_step")
                damage = self.damage(best) if best not in (None, manifest["step"]) else ""
                if not damage:
                    return manifest
                damage = f"the best one it relies on, {self.path(best).name}: {damage}"
            self.say(f"checkpoint {path.name} is damaged and passed over: {damage}")
        return None

    def damage(self, step: int) -> str:
        """What is damaged in the checkpoint at `step`; empty when it is whole."""
        return inspect(self.path(step))[1]

    def open(self, step: int) -> SavedState:
        """What the checkpoint at `step` holds, to be read piece by piece."""
        return SavedState(self.path(step))

    def _staging(self, step: int) -> Path:
        return self.folder / f".{PREFIX}{step:08d}.attempt-{self.attempt}"

    def _make_staging(self, step: int, size: int) -> None:
        """Made once, for all ranks: when one of them gives up and takes it away, the others notice at once.

        Where there is no room none is made: a disk filled to the brim, however shortly, stops the run's log.
        """
        self.world.barrier()  # nobody writes any more
        self._sweep()
        if self.world.leads:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                free = shutil.disk_usage(self.folder).free
                if free < size + MARGIN:
                    told = f"{os.strerror(errno.ENOSPC)}: {size:,} bytes are needed, {free:,} are free"
                    raise OSError(errno.ENOSPC, told, str(self.folder))
                self._staging(step).mkdir()
            except OSError as error:
                self.failure = error  # the others meet the missing folder
        self.world.barrier()

    def _sweep(self) -> None:
        """Take away what unfinished writes left, of this attempt or of one that was killed."""
        if self.world.leads:
            for path in self.folder.glob(f".{PREFIX}*"):
                shutil.rmtree(path, ignore_errors=True)

    def _write(self, step: int, parts: Tensors, shapes: dict[str, Any], manifest: dict[str, Any]) -> None:
        staging = self._staging(step)
        try:
            name = f"rank-{self.world.rank}.safetensors"
            save_file(parts, staging / name)
            write_json(staging / f"{name}.json", {"tensors": shapes, "file": seal(staging / name)})
            if self.world.leads:
                self._commit(step, staging, manifest)
        except (OSError, SafetensorError, WorkerError) as error:
            self.failure = error if isinstance(error, OSError | WorkerError) else OSError(str(error))
            _take_away(staging, f"-given-up-by-{self.world.rank}")

    def _commit(self, step: int, staging: Path, manifest: dict[str, Any]) -> None:
        names = [f"rank-{rank}.safetensors" for rank in range(self.world.size)]
        deadline = time.monotonic() + SECONDS_FOR_ALL_RANKS
        while not all((staging / f"{name}.json").is_file() for name in names):
            if time.monotonic() > deadline or not staging.is_dir():
                raise WorkerError(Problem("another rank did not write its part"))
            time.sleep(0.01)
        told = {name: read_json(staging / f"{name}.json") for name in names}
        for name in names:
            (staging / f"{name}.json").unlink()
        tensors = {name: about for rank in told.values() for name, about in rank["tensors"].items()}
        files = {name: rank["file"] for name, rank in told.items()}
        write_json(staging / "manifest.json", {**manifest, "tensors": tensors, "files": files})
        final = self.path(step)
        _take_away(final)
        staging.rename(final)
        _sync(self.folder)
        self._prune(manifest["state"].get("best_step"))

    def _prune(self, best_step: int | None) -> None:
        """Keep the newest ones and the best; called only after a commit."""
        paths = sorted(self.folder.glob(f"{PREFIX}*"))
        kept = {*paths[-self.keep :], *([self.path(best_step)] if best_step is not None else [])}
        for path in paths:
            if path not in kept:
                _take_away(path)


class SavedState:
    """A checkpoint's tensors, put together from the ranges that its ranks wrote."""

    def __init__(self, path: Path):
        self.manifest = read_json(path / "manifest.json")
        self.path = path
        self.ranges: dict[str, list[tuple[int, int, str, str]]] = {}
        for file_name in self.manifest["files"]:
            with safe_open(path / file_name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (a safetensors file is not a mapping)
                    name, _, start = key.rpartition("@")
                    number = math.prod(file.get_slice(key).get_shape())
                    self.ranges.setdefault(name, []).append((int(start), int(start) + number, file_name, key))

    def read(self, name: str, start: int, stop: int) -> torch.Tensor | None:
        """Elements `start` to `stop` of the flat tensor; None where there is none of that name.

        Raises WorkerError when the tensor has another size than the reader believes, or a hole.
        """
        about = self.manifest["tensors"].get(name)
        if about is None:
            return None
        number = math.prod(about["shape"])
        values = torch.empty(stop - start, dtype=getattr(torch, about["dtype"]))
        filled = 0
        for first, last, file_name, key in self.ranges.get(name, ()):
            low, high = max(first, start), min(last, stop)
            if low < high:
                with safe_open(self.path / file_name, framework="pt") as file:
                    values[low - start : high - start] = file.get_slice(key)[low - first : high - first]
                filled += high - low
        if stop > number or filled != stop - start:
            what = f"the checkpoint holds {filled:,} of the elements {start:,} to {stop:,} of {name}"
            raise WorkerError(Problem(what, str(self.path), "resume with the recipe that made it"))
        return values

    def own(self, rank: int, name: str) -> torch.Tensor | None:
        """What `rank` alone wrote under this name."""
        for _, _, file_name, key in self.ranges.get(f"rank-{rank}.{name}", ()):
            with safe_open(self.path / file_name, framework="pt") as file:
                values: torch.Tensor = file.get_tensor(key)
                return values
        return None


def inspect(path: Path) -> tuple[dict[str, Any] | None, str]:
    """A checkpoint's manifest, and what is damaged in it (empty when every file is as it was written)."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        files = dict(manifest["files"])
        for name, about in files.items():
            if seal(path / name) != about:
                return manifest, f"{name} is not as it was written"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, f"{type(error).__name__}: {error}"
    return manifest, ""


def seal(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, after it has reached the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _take_away(path: Path, why: str = "") -> None:
    """Delete a checkpoint, first in one move out of sight: a killed process leaves it whole or not at all."""
    doomed = path.with_name(f".{path.name.removeprefix('.')}.doomed{why}")
    with contextlib.suppress(OSError):
        path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
