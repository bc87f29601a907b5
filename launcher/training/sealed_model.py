"""The seal of a saved model, `model/seal.json`: the digests of all its files, checked before any of them is read.

It is in the folder itself, so that a copy of the folder can be checked as well. One file is its owner's to change: the
card. Its digest only tells whether it was (`card_state`); pictures and a licence may be put beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from launcher.errors import BackendError, Problem
from launcher.model import ABOUT
from launcher.runs.seals import UNREADABLE, Damaged, damage, digest, digests, read_document, read_sealed, write_sealed

SEAL = "seal.json"
CARD = "README.md"
"""The card, as the hub shows it."""
FOR_PEOPLE = frozenset({".md", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"})
"""Endings of what no library reads of a model's folder."""
LICENCES = frozenset({"LICENSE", "LICENSE.txt", "LICENCE", "LICENCE.txt", "NOTICE", "NOTICE.txt"})
FOREIGN = " was not saved with it"
UNSEALED = 1
"""The format, in launcher.json, of models that were saved before there were seals."""


def put_seal_on(folder: Path, more: Mapping[str, Any]) -> None:
    """Seal what is in the folder, once it is on the disk; the seal says `more` besides."""
    write_sealed(folder / SEAL, {**more, "files": digests(folder, sorted(_files(folder)), to_disk=True)})


def replace_text(folder: Path, name: str, text: str) -> dict[str, Any]:
    """Put a text in the place of a sealed one's; the digests of all files since.

    Between the two writes the seal has another digest of it: only for a model whose run has not ended, which then makes
    it again.
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
        do = "take it out of the folder" if fault.endswith(FOREIGN) else do
        raise BackendError(Problem(f"the saved model is damaged: {fault}", str(folder), do))
    return seal


def card_state(folder: Path, seal: Mapping[str, Any]) -> Literal["as written", "edited", "missing"]:
    """What became of the card of a model since the seal was put on."""
    if not (folder / CARD).is_file():
        return "missing"
    written = seal["files"].get(CARD)
    return "edited" if written is None or damage(folder, {CARD: written}) else "as written"


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
        files = {name: about for name, about in seal["files"].items() if name != CARD}
        more = (name for name in sorted(_files(folder) - files.keys()) if _is_read(name))
        return seal, damage(folder, files) or next((f"{name}{FOREIGN}" for name in more), "")
    except Damaged as error:
        return {}, str(error)


def _files(folder: Path) -> set[str]:
    """Names of what is below the folder and is no folder itself."""
    paths = [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
    return {path.relative_to(folder).as_posix() for path in paths}


def _is_read(name: str) -> bool:
    """Whether a library may read what was put there later: hidden files and what is for people are read by none."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return name != SEAL and not hidden and path.suffix.lower() not in FOR_PEOPLE and name not in LICENCES


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
