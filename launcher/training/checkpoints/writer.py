"""Resumable states: safetensors and JSON only, keyed by parameter name, written off the critical path.

    attempts/N/checkpoints/step-00000120/
      rank-0.safetensors …   each rank's flat ranges [start, stop) of the named tensors: `NAME@START`
      manifest.json          step and loop state, the tensors' shapes, each file's size and SHA-256, its own seal

Nothing is gathered: each rank writes what it holds, and loading reads the ranges it needs, so a state can be
read by another number of ranks. A checkpoint is one when its manifest is committed: files are written into a
staging folder, synced, and the folder is renamed. A damaged one is passed over for the last good one, and reported.

Each attempt has a folder of its own. Before it trains it moves there what counts of the attempts before it (one
rename each), and writes down which checkpoint it goes on from: what an older attempt commits later counts no more
(`launcher.runs.lineage`), and what it prunes is no longer there.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from launcher.errors import Problem, WorkerError
from launcher.json_files import write_json
from launcher.runs import lineage, pulse, room
from launcher.runs.attempt import AttemptFolder
from launcher.runs.publishing import by_umask, refuse_taken_over, remove_tree
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.runs.seals import Damaged, digest, write_sealed
from launcher.training.checkpoints.inheriting import inherit
from launcher.training.checkpoints.reader import FORMAT, MANIFEST, SavedState, inspect, manifest_of
from launcher.training.distributed.world import World
from launcher.training.strategies import Piece

SECONDS_FOR_ALL_RANKS = 600.0
SECONDS_TO_FINISH = 30.0
"""How long a failed rank stays for the write in flight; well under the time after which it would count as hung."""
PREFIX = "step-"
MARGIN = 128 * 1024
"""Bytes that must stay free beside a checkpoint's tensors: its manifest, generators, the run's log."""

Tensors = dict[str, torch.Tensor]


class Checkpoints:
    """The checkpoints that one attempt takes over and writes."""

    def __init__(self, run: RunFolder, attempt: int, world: World, keep: int, say: Callable[[str], None]):
        self.run, self.attempt, self.world, self.keep, self.say = run, attempt, world, keep, say
        self.folder = run.attempt(attempt).checkpoints
        self.writer: threading.Thread | None = None
        self.failure: OSError | WorkerError | None = None
        self.last_step = -1

    def save(self, step: int, pieces: Iterable[Piece], own: Tensors, state: dict[str, Any]) -> None:
        """Start writing the state at `step`: this rank's `pieces`, and `own`, which belongs to it alone.

        Returns once the values are copied; a failure to write (a full disk) is reported and the run goes on.
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
        try:
            self.writer.start()
        except RuntimeError:  # "can't start new thread": where memory is limited there may be no room for its stack
            self.writer = None
            with pulse.at_the_disk():
                self._write(step, parts, shapes, manifest)

    def wait(self) -> None:
        """Wait for the write in flight; report what went wrong with it."""
        if self.writer is not None:
            with pulse.at_the_disk():
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
        return self.last_step < 0 or self._committed(self.last_step)

    def outlast(self) -> None:
        """Stay until the write in flight is committed or given up: what a failed rank has begun need not be lost.

        No collective: the other ranks train, or wait for this one.
        """
        deadline = time.monotonic() + SECONDS_TO_FINISH
        while self.writer is not None and self._staging(self.last_step).is_dir() and time.monotonic() < deadline:
            time.sleep(0.01)  # polled: the folder is renamed or removed by another rank

    def kept(self, step: int) -> bool:
        """Whether the checkpoint at `step` was committed, once the write in flight is done; the same on all ranks."""
        self.wait()
        return self.world.tell(str(int(self._committed(step))).encode()) == b"1"

    def _committed(self, step: int) -> bool:
        return (self.path(step) / MANIFEST).is_file()

    def path(self, step: int) -> Path:
        """The folder of the checkpoint at `step`."""
        return self.run.attempt(self.attempt).checkpoint(step)

    def take_over(
        self, misfit: Callable[[dict[str, Any]], str] = lambda manifest: "", inherited: Path | None = None
    ) -> dict[str, Any] | None:
        """The manifest of the checkpoint to continue from, the same on all ranks; None to start from the beginning.

        `misfit` says what of a whole one cannot be restored: that is damage as well. From here on what other attempts
        write counts no more. `inherited` has those of another run, which are copied where this one has none yet.
        """
        step = -1
        if self.world.leads:
            self._claim()
            if inherited is not None and not any(self.folder.glob(f"{PREFIX}*")):
                inherit(inherited, self.folder, self.attempt)
            manifest = self._newest_good(misfit)
            source = None if manifest is None else lineage.origin(manifest["attempt"], manifest["step"])
            origin = {"continues": source, "time": time.time()}
            room.patiently(write_json, self.run.attempt(self.attempt).origin, origin)
            step = -1 if manifest is None else int(manifest["step"])
        step = int(self.world.tell(str(step).encode()))
        return None if step < 0 else manifest_of(self.path(step))

    def _claim(self) -> None:
        """Move the valid checkpoints of earlier attempts into this one's folder, and those too damaged to judge."""
        chain = self.run.lineage()
        for before in reversed(self._before()):
            # a checkpoint, a rehearsal or a model that a killed rank was writing
            for unfinished in (*before.checkpoints.glob(f".{PREFIX}*"), *before.path.glob(".*")):
                if unfinished.is_dir():
                    shutil.rmtree(unfinished, ignore_errors=True)
                else:
                    unfinished.unlink(missing_ok=True)
            for path in sorted(before.checkpoints.glob(f"{PREFIX}*")):
                if _counts(path, chain):
                    self.folder.mkdir(exist_ok=True)
                    with contextlib.suppress(OSError):  # one of that step is here already, or it is gone
                        path.rename(self.folder / path.name)
            with contextlib.suppress(OSError):  # what does not count stays until this attempt has saved
                before.checkpoints.rmdir()

    def _before(self) -> list[AttemptFolder]:
        return [attempt for attempt in self.run.attempts() if attempt.number < self.attempt]

    def _newest_good(self, misfit: Callable[[dict[str, Any]], str]) -> dict[str, Any] | None:
        """The manifest of the newest checkpoint whose files are whole; damaged ones are reported and passed over."""
        paths = sorted(self.folder.glob(f"{PREFIX}*"), reverse=True)
        for path in paths:
            manifest, damage = inspect(path)
            damage = damage or (misfit(manifest) if manifest is not None else "")
            if manifest is not None and not damage:
                best = manifest["state"].get("best_step")
                damage = inspect(self.path(best))[1] if best not in (None, manifest["step"]) else ""
                if not damage:
                    return manifest
                damage = f"the best one it relies on, {self.path(best).name}: {damage}"
            self.say(f"checkpoint {path.name} is damaged and passed over: {damage}")
        if paths:
            self.say("no checkpoint is whole: the run begins anew")
        return None

    def damage(self, step: int) -> str:
        """What is damaged in the checkpoint at `step`; empty when it is whole. The same on all ranks: one looks."""
        fault = inspect(self.path(step))[1] if self.world.leads else ""
        return str(json.loads(self.world.tell(json.dumps(fault).encode())))

    def open(self, step: int) -> SavedState:
        """What the checkpoint at `step` holds, to be read piece by piece; it was whole a moment ago."""
        try:
            return SavedState(self.path(step), manifest_of(self.path(step)))
        except (Damaged, OSError, SafetensorError) as error:
            raise WorkerError(Problem(f"the checkpoint was damaged: {error}", str(self.path(step)))) from None

    def _staging(self, step: int) -> Path:
        return self.folder / f".{PREFIX}{step:08d}.attempt-{self.attempt}"

    def _make_staging(self, step: int, size: int) -> None:
        """Made once, for all ranks: when one of them gives up and removes it, the others notice at once.

        Where there is no room none is made: a disk filled to the brim, however shortly, stops the run's log.
        """
        self.world.barrier()  # no rank is writing any more
        self._sweep()
        if self.world.leads:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                free = shutil.disk_usage(self.folder).free
                if free < size + MARGIN:
                    what = f"{os.strerror(errno.ENOSPC)}: {size:,} bytes are needed, {free:,} are free"
                    raise OSError(errno.ENOSPC, what, str(self.folder))
                self._staging(step).mkdir()
            except OSError as error:
                self.failure = error  # the others meet the missing folder
        self.world.barrier()

    def _sweep(self) -> None:
        """Remove what unfinished writes left, of this attempt or of one that was killed."""
        if self.world.leads:
            for path in self.folder.glob(f".{PREFIX}*"):
                shutil.rmtree(path, ignore_errors=True)

    def _write(self, step: int, parts: Tensors, shapes: dict[str, Any], manifest: dict[str, Any]) -> None:
        staging = self._staging(step)
        try:
            name = f"rank-{self.world.rank}.safetensors"
            save_file(parts, staging / name)
            by_umask(staging / name)
            write_json(staging / f"{name}.json", {"tensors": shapes, "file": digest(staging / name, to_disk=True)})
            if self.world.leads:
                self._commit(step, staging, manifest)
        except (OSError, SafetensorError, WorkerError) as error:
            self.failure = error if isinstance(error, OSError | WorkerError) else OSError(str(error))
            remove_tree(staging, f"-given-up-by-{self.world.rank}")

    def _commit(self, step: int, staging: Path, manifest: dict[str, Any]) -> None:
        names = [f"rank-{rank}.safetensors" for rank in range(self.world.size)]
        deadline = time.monotonic() + SECONDS_FOR_ALL_RANKS
        with pulse.waiting_for_others():
            while not all((staging / f"{name}.json").is_file() for name in names):
                if time.monotonic() > deadline or not staging.is_dir():
                    raise WorkerError(Problem("another rank did not write its part"))
                time.sleep(0.01)  # polled: this thread must not join a collective of the training thread
        parts = {name: read_json(staging / f"{name}.json") for name in names}
        for name in names:
            (staging / f"{name}.json").unlink()
        tensors = {name: about for rank in parts.values() for name, about in rank["tensors"].items()}
        files = {name: rank["file"] for name, rank in parts.items()}
        write_sealed(staging / MANIFEST, {**manifest, "tensors": tensors, "files": files})
        refuse_taken_over(self.run, self.attempt)
        final = self.path(step)
        remove_tree(final)
        staging.rename(final)
        _sync(self.folder)
        self._prune(step, manifest["state"].get("best_step"))

    def _prune(self, step: int, best_step: int | None) -> None:
        """Keep the newest ones and the best; called only after the commit of `step`.

        What lies beyond it was passed over as damaged; what older attempts still have counts no more.
        """
        paths = sorted(self.folder.glob(f"{PREFIX}*"))
        counting = [path for path in paths if path <= self.path(step)]
        kept = {*counting[-self.keep :], *([self.path(best_step)] if best_step is not None else [])}
        for path in paths:
            if path not in kept:
                remove_tree(path)
        for before in self._before():
            if before.checkpoints.exists():
                remove_tree(before.checkpoints)


def _counts(path: Path, chain: lineage.Lineage) -> bool:
    """Whether the checkpoint there may be continued from, or is too damaged to judge."""
    try:
        manifest = manifest_of(path)
    except Damaged:
        return True
    return chain.holds(manifest["attempt"], manifest["step"])


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
