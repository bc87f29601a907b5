"""The checkpoints of a run that another one continues: copied once, before that one's first step.

The newest and the best are all that a run relies on. The copies are of this run: their manifests name its attempt.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from launcher.runs import room
from launcher.runs.seals import Damaged, write_sealed
from launcher.training.checkpoints.reader import MANIFEST, manifest_of


def inherit(source: Path, folder: Path, attempt: int) -> None:
    """Copy them from `source` into `folder`, each in one rename; damaged ones as they are, to be told of there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(source.glob("step-*"))
    if not paths:
        return
    wanted = {paths[-1]}
    try:
        best = manifest_of(paths[-1])["state"].get("best_step")
        wanted |= {path for path in paths if path.name == f"step-{best or 0:08d}"}
    except Damaged:
        pass  # whoever reads it says so
    for path in sorted(wanted):
        room.patiently(_copy, path, folder, attempt)


def _copy(path: Path, folder: Path, attempt: int) -> None:
    staging = folder / f".{path.name}.attempt-{attempt}"
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(path, staging, copy_function=_linked)
    try:
        manifest = {**manifest_of(path), "attempt": attempt}
    except Damaged:
        pass
    else:
        (staging / MANIFEST).unlink()
        manifest.pop("seal", None)
        write_sealed(staging / MANIFEST, manifest)
    staging.rename(folder / path.name)


def _linked(source: str, target: str) -> None:
    """One more name for a file that nobody changes; a copy where the disk is another one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
