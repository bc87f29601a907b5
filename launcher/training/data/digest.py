"""Which data this is: a digest over what the recipe says of it and the bytes of its files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter

from launcher.errors import DataError, Problem
from launcher.host import this_user
from launcher.recipe.data import Data, without_later
from launcher.training.data.findings import Findings
from launcher.training.data.locations import HubSplit, LocalFile, resolve, sources_of

READER = 2
"""Raised when the same bytes come to be read as other rows."""


def content_digest(data: Data) -> str:
    """SHA-256 (64 hex digits) over the noun's JSON and the bytes of each local file, which are streamed.

    A place of the hub counts by its name and by the revision in the local cache, if there is one. Raises
    DataError, all problems together, for files that are missing or cannot be read.
    """
    values = without_later(TypeAdapter(type(data)).dump_python(data, mode="json"))
    total = hashlib.sha256(json.dumps([READER, values], sort_keys=True).encode())
    findings = Findings()
    for split in (data.train, data.validation, data.test):
        for source in sources_of(split, findings) if split is not None else []:
            try:
                total.update(f"\n{source.place}\0{_digest(source.place)}".encode(errors="surrogateescape"))
            except DataError as error:
                findings.absorb(error)
    findings.raise_if_any()
    return total.hexdigest()


def _digest(place: str) -> str:
    found = resolve(place)
    if isinstance(found, HubSplit):
        return _revision(found)
    total = hashlib.sha256()
    try:
        for path in _files(found.path) if not isinstance(found, LocalFile) else [found.path]:
            with path.open("rb") as file:
                total.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    except OSError as error:
        raise DataError(Problem(f"{place} cannot be read: {error.strerror or error}")) from None
    return total.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_file())


def _revision(place: HubSplit) -> str:
    """The commit that the local cache of the hub calls main; '' where it has none."""
    home = Path(os.environ.get("HF_HOME") or (this_user.home() or Path("~")) / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    reference = cache / f"datasets--{place.repository.replace('/', '--')}" / "refs" / "main"
    try:
        return reference.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
