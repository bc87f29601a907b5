"""A committed checkpoint as it is read: whole or damaged, and its tensors put together from the ranks' ranges.

What is in one and how it is written, `launcher.training.checkpoint` says.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from launcher.errors import Problem, WorkerError
from launcher.rundir import read_json


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


def manifest_of(path: Path) -> dict[str, Any] | None:
    """The manifest of the checkpoint in that folder; None where it cannot be read."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        int(manifest["attempt"]), int(manifest["step"]), dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(manifest)


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
