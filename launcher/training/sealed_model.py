"""The seal of a saved model, `model/seal.json`: the digests of all its files, checked before any of them is read.

It is in the folder itself, so that a copy of the folder can be checked as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, Problem
from launcher.model import ABOUT
from launcher.runs.seals import UNREADABLE, Damaged, damage, digest, digests, read_document, read_sealed, write_sealed

SEAL = "seal.json"
UNSEALED = 1
"""The format, in launcher.json, of models that were saved before there were seals."""


def put_seal_on(folder: Path, more: Mapping[str, Any]) -> None:
    """Seal what is in the folder, once it is on the disk; the seal says `more` besides."""
    write_sealed(folder / SEAL, {**more, "files": digests(folder, sorted(_files(folder)), to_disk=True)})


def replace_text(folder: Path, name: str, text: str) -> dict[str, Any]:
    """Put a text in the place of a sealed one's; the digests of all files since.

    Between the two writes the folder is damaged: only for a model whose run has not ended, which then makes it again.
    """
    scratch = folder / f".{name}.new"
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(folder / name)
    seal = read_sealed(folder / SEAL)
    files = {**seal["files"], name: digest(folder / name, to_disk=True)}
    write_sealed(folder / SEAL, {**seal, "files": files})
    return files


def is_sealed(folder: Path) -> bool:
    """Whether the folder has a seal, or must have one: it is a saved model."""
    return (folder / SEAL).is_file() or (folder / ABOUT).is_file()


def checked(folder: Path) -> dict[str, Any]:
    """What the seal of the saved model says. Raises BackendError where a file is not as it was saved, naming it."""
    seal, fault = _looked_at(folder)
    if UNREADABLE in fault:
        raise BackendError(Problem(f"the saved model: {fault}", str(folder), "ask its owner to let you read it"))
    if fault:
        do = "put back the files as they were saved, from a copy that is whole; else train the model again"
        raise BackendError(Problem(f"the saved model is damaged: {fault}", str(folder), do))
    return seal


def checked_as_base(folder: Path) -> str:
    """What of a saved model is not as it was saved, where it is a copy to build on, which people change on purpose.

    Empty where all is as it was. Raises BackendError where the folder is a run's own, as `checked` does.
    """
    if (folder.parent / "outcome.json").exists():
        checked(folder)
    return _looked_at(folder)[1]


def _looked_at(folder: Path) -> tuple[dict[str, Any], str]:
    """What the seal says, and which file differs from it, in words; empty where none does."""
    try:
        seal = _unsealed(folder) or read_sealed(folder / SEAL)
        files = seal["files"]
        more = (name for name in sorted(_files(folder) - files.keys()) if _is_read(name))
        return seal, damage(folder, files) or next((f"{name} was not saved with it" for name in more), "")
    except Damaged as error:
        return {}, str(error)


def _files(folder: Path) -> set[str]:
    """Names of what is below the folder and is no folder itself."""
    paths = [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
    return {path.relative_to(folder).as_posix() for path in paths}


def _is_read(name: str) -> bool:
    """Whether a library may read what was put there later: hidden files and notes in Markdown are read by none."""
    return name != SEAL and not name.endswith(".md") and not any(part.startswith(".") for part in name.split("/"))


def _unsealed(folder: Path) -> dict[str, Any] | None:
    """The substitute for a seal in models saved before there were any: the proof in their run's outcome."""
    if (folder / SEAL).exists():
        return None
    if read_document(folder / ABOUT).get("format") != UNSEALED:
        return None
    proof = read_document(folder.parent / "outcome.json").get("proof")
    files = proof.get("files") if isinstance(proof, dict) else None
    if not isinstance(files, dict):
        raise Damaged(f"{SEAL} is missing")
    return {"files": files}
