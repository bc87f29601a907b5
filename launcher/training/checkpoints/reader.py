"""A committed checkpoint as it is read: whole or damaged, and its tensors put together from the ranks' ranges.

`launcher.training.checkpoints.writer` describes what is in one and how it is written.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from launcher.errors import Problem, WorkerError
from launcher.runs import pulse
from launcher.runs.seals import KEY, Damaged, damage, read_document, read_sealed

FORMAT = 3
UNSEALED = 2
"""The format of before manifests had a seal: still read, as its tensor files have digests."""
MANIFEST = "manifest.json"
PART = re.compile(r"rank-\d+\.safetensors")


class SavedState:
    """A checkpoint's tensors, put together from the ranges that its ranks wrote."""

    def __init__(self, path: Path, manifest: dict[str, Any]):
        self.path, self.manifest = path, manifest
        self.ranges: dict[str, list[tuple[int, int, str, str]]] = {}
        for file_name in self.manifest["files"]:
            with safe_open(path / file_name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (a safetensors file is not a mapping)
                    name, _, start = key.rpartition("@")
                    number = math.prod(file.get_slice(key).get_shape())
                    self.ranges.setdefault(name, []).append((int(start), int(start) + number, file_name, key))

    def read(self, name: str, start: int, stop: int) -> torch.Tensor | None:
        """Elements `start` to `stop` of the flat tensor; None where there is none of that name.

        Raises WorkerError when the tensor has another size than the reader expects, or a hole.
        """
        pulse.tick("restoring")
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

    def lacking(self) -> str:
        """Which tensor cannot be read as the manifest says; empty where all can."""
        for name, about in self.manifest["tensors"].items():
            at = 0
            for start, stop, _, _ in sorted(self.ranges.get(name, ())):
                at = stop if start == at else -1
            if at != math.prod(about["shape"]) or not isinstance(getattr(torch, about["dtype"], None), torch.dtype):
                return f"{name} cannot be read from its files"
        return next((f"{name} is not in its manifest" for name in self.ranges if not self._known(name)), "")

    def _known(self, name: str) -> bool:
        return name in self.manifest["tensors"] or re.match(r"rank-\d+\.", name) is not None

    def own(self, rank: int, name: str) -> torch.Tensor | None:
        """What `rank` alone wrote under this name."""
        for _, _, file_name, key in self.ranges.get(f"rank-{rank}.{name}", ()):
            with safe_open(self.path / file_name, framework="pt") as file:
                values: torch.Tensor = file.get_tensor(key)
                return values
        return None


def manifest_of(path: Path) -> dict[str, Any]:
    """The manifest of the checkpoint in that folder. Raises Damaged where it is not as it was written."""
    document = read_document(path / MANIFEST)
    if document.get("format") == UNSEALED and KEY not in document:
        manifest = document
    else:
        manifest = read_sealed(path / MANIFEST)
        if manifest.get("format") != FORMAT:
            raise Damaged("it was written by another version of the launcher")
    try:
        usable = bool(manifest["attempt"] + manifest["step"]) and path.name == f"step-{manifest['step']:08d}"
        usable = usable and manifest["state"].get("step", manifest["step"]) == manifest["step"]
        usable = usable and bool(manifest["tensors"]) and all(PART.fullmatch(name) for name in manifest["files"])
    except (KeyError, TypeError, ValueError, AttributeError):
        usable = False
    if not usable:
        raise Damaged(f"{MANIFEST} does not fit its checkpoint")
    return manifest


def inspect(path: Path) -> tuple[dict[str, Any] | None, str]:
    """A checkpoint's manifest, and what is damaged in it (empty when every file is as it was written)."""
    try:
        manifest = manifest_of(path)
    except Damaged as error:
        return None, str(error)
    if fault := damage(path, manifest["files"]):
        return manifest, fault
    try:
        return manifest, SavedState(path, manifest).lacking()
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        return manifest, f"it cannot be opened: {type(error).__name__}: {error}"
