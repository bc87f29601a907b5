"""Digests of the files of a checkpoint, of a saved model and of prepared data: what is read is what was written.

A sealed document is JSON that ends with the SHA-256 of its own text without it. It is accepted only byte for byte as it
was written: even different whitespace is damage. A folder is sealed by such a document that lists the size and the
SHA-256 of each other file. A seal detects corrupted and mixed-up files; it is not a signature.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from launcher.errors import whose
from launcher.json_files import text_of, write_json

KEY = "seal"
UNREADABLE = "cannot be read"
LARGEST = 256 * 1024 * 1024
"""Bytes of a sealed document; a checkpoint's manifest names each tensor once."""


class Damaged(Exception):
    """A file is not as it was written; the message names the file and says how."""


def digest(path: Path, to_disk: bool = False) -> dict[str, Any]:
    """Size and SHA-256 of a file, with `to_disk` once it has reached the disk. OSError where it is not a file."""
    with open(path, "rb", opener=_plainly) as file:
        if to_disk:
            os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
        return {"bytes": size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _plainly(path: str, flags: int) -> int:
    """Open a regular file only; reading anything else that could lie there (a pipe) might never end."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is not a regular file", path)
    return descriptor


def digests(folder: Path, names: Iterable[str], to_disk: bool = False) -> dict[str, Any]:
    """The digests of these files of a folder; large ones are read side by side."""
    names = list(names)
    try:
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            return dict(zip(names, pool.map(lambda name: digest(folder / name, to_disk), names), strict=True))
    except RuntimeError:  # "can't start new thread": where memory is limited there may be no room for its stack
        return {name: digest(folder / name, to_disk) for name in names}


def damage(folder: Path, files: Mapping[str, Any]) -> str:
    """How a file of the folder differs from the digests in `files`, naming it; empty where all are as written."""
    for name, expected in files.items():
        try:
            size = (folder / name).stat().st_size
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} {UNREADABLE}: {error.strerror}{whose(folder / name)}"
        if not isinstance(expected, dict) or size != expected.get("bytes"):
            return f"{name} is not as it was written"
    try:
        actual = digests(folder, files)
    except OSError as error:
        path = Path(str(error.filename))
        return f"{path.name} {UNREADABLE}: {error.strerror}{whose(path)}"
    wrong = next((name for name, expected in files.items() if actual[name] != expected), None)
    return f"{wrong} is not as it was written" if wrong is not None else ""


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The name of a source of `then` that is another one `now`; empty where all are the same (`sources/bases.py`)."""
    for name, before in then.items():
        here = now.get(name, {})
        if before.get("revision") != here.get("revision"):
            return f"{name} (revision {before.get('revision')}, now {here.get('revision')})"
        files, others = before.get("files", {}), here.get("files", {})
        changed = sorted(file for file in files.keys() | others.keys() if files.get(file) != others.get(file))
        if changed:
            return f"{', '.join(changed[:3])} of {name}" if changed != [Path(name).name] else name
    return ""


def write_sealed(path: Path, document: Mapping[str, Any]) -> None:
    """Write the document with its seal, whole or not at all."""
    write_json(path, _sealed(document))


def read_sealed(path: Path) -> dict[str, Any]:
    """The document that `write_sealed` wrote, without its seal. Raises Damaged where it was changed or is missing."""
    document = read_document(path)
    seal = document.pop(KEY, None)
    if seal is None:
        raise Damaged(f"{path.name} has no seal")
    try:
        same = path.read_bytes() == text_of(_sealed(document)).encode()
    except (OSError, ValueError):
        same = False
    if not same:
        raise Damaged(f"{path.name} is not as it was written")
    return document


def read_document(path: Path) -> dict[str, Any]:
    """A JSON object, sealed or not. Raises Damaged where the file holds none."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise Damaged(f"{path.name} is too large: {size:,} bytes")
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise Damaged(f"{path.name} is missing") from None
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise Damaged(f"{path.name} is not valid JSON") from None
    if not isinstance(document, dict):
        raise Damaged(f"{path.name} is not a JSON object")
    return document


def _sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    return {**document, KEY: hashlib.sha256(text_of(document).encode()).hexdigest()}
