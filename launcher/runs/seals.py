"""What was written is what is read: the files of a checkpoint, of a saved model and of prepared data have digests.

A sealed document is JSON that ends with the SHA-256 of its own text without it. It is believed only as the very bytes
that were written: also a blank that is another one is damage. A folder is sealed by such a document that lists the size
and the SHA-256 of each other file. A seal tells of rot and of mixed-up files; it is no signature.
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
    """A file is not as it was written; its words name the file and say how."""


def digest(path: Path, to_disk: bool = False) -> dict[str, Any]:
    """Size and SHA-256 of a file, after it has reached the disk where that is asked. OSError where it is none."""
    with open(path, "rb", opener=_plainly) as file:
        if to_disk:
            os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
        return {"bytes": size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _plainly(path: str, flags: int) -> int:
    """Open what is a regular file; what else could lie there (a pipe) would never end."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no regular file", path)
    return descriptor


def digests(folder: Path, names: Iterable[str], to_disk: bool = False) -> dict[str, Any]:
    """The digests of these files of a folder; large ones are read side by side."""
    names = list(names)
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(names, pool.map(lambda name: digest(folder / name, to_disk), names), strict=True))


def damage(folder: Path, files: Mapping[str, Any]) -> str:
    """How a file of the folder differs from the digests in `files`, naming it; empty where all are as written."""
    for name, told in files.items():
        try:
            size = (folder / name).stat().st_size
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} {UNREADABLE}: {error.strerror}{whose(folder / name)}"
        if not isinstance(told, dict) or size != told.get("bytes"):
            return f"{name} is not as it was written"
    try:
        found = digests(folder, files)
    except OSError as error:
        path = Path(str(error.filename))
        return f"{path.name} {UNREADABLE}: {error.strerror}{whose(path)}"
    wrong = next((name for name, told in files.items() if found[name] != told), None)
    return f"{wrong} is not as it was written" if wrong is not None else ""


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which of the sources `then` is another one `now`, by name; empty where all are the same (`sources/bases.py`)."""
    for name, told in then.items():
        here = now.get(name, {})
        if told.get("revision") != here.get("revision"):
            return f"{name} (revision {told.get('revision')}, now {here.get('revision')})"
        files, others = told.get("files", {}), here.get("files", {})
        changed = sorted(file for file in files.keys() | others.keys() if files.get(file) != others.get(file))
        if changed:
            return f"{', '.join(changed[:3])} of {name}" if changed != [Path(name).name] else name
    return ""


def write_sealed(path: Path, document: Mapping[str, Any]) -> None:
    """Write the document with its seal, whole or not at all."""
    write_json(path, _sealed(document))


def read_sealed(path: Path) -> dict[str, Any]:
    """The document that `write_sealed` wrote, without its seal. Raises Damaged where it is another one, or missing."""
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
    """A JSON object, whether it is sealed or not. Raises Damaged where it is none."""
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
        raise Damaged(f"{path.name} is not what was written there")
    return document


def _sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    return {**document, KEY: hashlib.sha256(text_of(document).encode()).hexdigest()}
