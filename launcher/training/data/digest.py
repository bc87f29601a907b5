"""Which data this is: a digest over the recipe's data section and the bytes of its files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter

from launcher.errors import DataError, Problem
from launcher.host import this_user
from launcher.recipe.data import Data, ImageFolders
from launcher.recipe.language_data import streams
from launcher.recipe.later import as_digested
from launcher.recipe.task import PlainTask
from launcher.training.data.findings import Findings
from launcher.training.data.locations import HubSplit, LocalFile, resolve, sources_of
from launcher.training.data.reader import paths_in

READER = 2
"""Version of the reader: increased when the same bytes come to be read as other rows."""
GLANCES, GLANCE = 16, 4096
"""Places of a streamed file that are looked at, and bytes at each."""


def content_digest(data: Data, task: PlainTask | None = None) -> str:
    """SHA-256 (64 hex digits) over the data section's JSON and the bytes of each local file, which are streamed.

    Of a corpus that training streams only the sizes of its files count, and bytes at some places of each.

    Where the task is one of images, those of the images that tables name, too.

    A data set of the hub counts by its name and by the revision in the local cache, if there is one. Raises
    DataError, all problems together, for files that are missing or cannot be read.
    """
    values = as_digested(TypeAdapter(type(data)).dump_python(data, mode="json"))
    total = hashlib.sha256(json.dumps([READER, values], sort_keys=True).encode())
    findings = Findings()
    beside = data.augment.synonyms if data.augment is not None else None
    for split in (data.train, data.validation, data.test, beside):
        sources = sources_of(split, findings, data) if split is not None else []
        digest = _glance if streams(data) and split is data.train else _digest
        for source in sources:
            try:
                one = _of_image(Path(source.location)) if isinstance(data, ImageFolders) else digest(source.location)
                total.update(f"\n{source.location}\0{one}".encode(errors="surrogateescape"))
            except DataError as error:
                findings.absorb(error)
        for path in paths_in(data, task, sources) if task is not None and not len(findings) else ():
            total.update(f"\n{path}\0{_of_image(path)}".encode(errors="surrogateescape"))
    findings.raise_if_any()
    return total.hexdigest()


def _of_image(path: Path) -> str:
    """Of the file's name and bytes; '' where it cannot be read, which is told, or skipped, when it is decoded."""
    try:
        return _digest(str(path)) if path.is_file() else ""
    except (DataError, OSError):  # a name may be too long
        return ""


def _digest(location: str) -> str:
    resolved = resolve(location)
    if isinstance(resolved, HubSplit):
        return _revision(resolved)
    total = hashlib.sha256()
    try:
        for path in _files(resolved.path) if not isinstance(resolved, LocalFile) else [resolved.path]:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{path.name}\0{digest}".encode(errors="surrogateescape"))
    except OSError as error:
        raise DataError(Problem(f"{location} cannot be read: {error.strerror or error}")) from None
    return total.hexdigest()


def _glance(location: str) -> str:
    """Of what is too large to be read: its size, and the bytes at its beginning, its end and evenly between them."""
    resolved = resolve(location)
    if isinstance(resolved, HubSplit):
        return _revision(resolved)
    total = hashlib.sha256()
    try:
        for path in _files(resolved.path) if not isinstance(resolved, LocalFile) else [resolved.path]:
            size = path.stat().st_size
            total.update(f"{path.name}\0{size}".encode())
            with path.open("rb") as file:
                for place in range(GLANCES):
                    file.seek(max(0, size - GLANCE) * place // (GLANCES - 1))
                    total.update(file.read(GLANCE))
    except OSError as error:
        raise DataError(Problem(f"{location} cannot be read: {error.strerror or error}")) from None
    return total.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_file())


def _revision(source: HubSplit) -> str:
    """The commit that the local cache of the hub calls main; '' where it has none."""
    home = Path(os.environ.get("HF_HOME") or (this_user.home() or Path("~")) / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    reference = cache / f"datasets--{source.repository.replace('/', '--')}" / "refs" / "main"
    try:
        return reference.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
