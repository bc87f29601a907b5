"""Rows that are images: from class folders, and from the cells of tables. An image counts once it was decoded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from launcher.errors import DataError, Problem
from launcher.recipe.about_images import skips_broken
from launcher.recipe.data import Data, ImageFolders, Table
from launcher.recipe.task import PlainTask
from launcher.training.data.cells import MISSING, labels_in
from launcher.training.data.examples import Location, Reading, Row, Source
from launcher.training.data.findings import Findings
from launcher.training.data.pictures import ENDINGS, Picture, looked_at, pillow

SHOWN = 5
"""Names of folders or files that a message holds."""
LONGEST_NAME = 200
"""Characters of a path in a message: a cell may hold a text in its place."""


def class_folders(path: Path, location: str, findings: Findings) -> list[Source]:
    """Every file of every folder in `path`, whose name is the label; notes a folder without files.

    Raises DataError where there are no such folders.
    """
    if not path.is_dir():
        what = f"there is no folder {location}" if not path.exists() else f"{location} is no folder"
        do = "ImageFolders takes a folder that holds a folder for each label; name tables of paths with Table"
        raise DataError(Problem(what, do=do))
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in inside if entry.is_dir()]
    if not folders:
        do = "put the images of each label into a folder of its name"
        raise DataError(Problem(f"{location} holds no folders", do=do))
    for entry in inside:
        if not entry.exists():
            findings.add("link", "the link leads nowhere", str(entry), "put back what it leads to, or take it away")
        if entry.is_file() and entry.suffix.lower() in ENDINGS:
            findings.add("beside", "the image is in no label's folder", str(entry), "move it into one, or take it away")
    sources = []
    for folder in folders:
        below = [path for path in sorted(folder.rglob("*")) if not _hidden(path, folder)]
        for path in below:
            if path.is_symlink() and path.is_dir():
                do = "put a folder there in place of the link"
                findings.add(
                    "link", "the folder is a link, which is not followed below a label's folder", str(path), do
                )
        files = [path for path in below if path.is_file() or (path.is_symlink() and not path.exists())]
        if not files:
            do = "put images into it, or take it away"
            findings.add("folder", f"the folder of the label {folder.name!r} holds no images", str(folder), do)
        sources += [Source(str(file), folder.name) for file in files]
    return sources


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def images_in(folder: Path) -> list[Path]:
    """The images of a folder and of those in it, by their endings. Raises DataError where there are none."""
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS and not _hidden(file, folder))
    if not files:
        do = f"known are files that end in {', '.join(sorted(ENDINGS))}"
        raise DataError(Problem("there are no images in the folder", str(folder), do))
    return files


def as_given(data: Data, location: Location) -> Data:
    """The data with the kind that the location has: a folder of folders, or a table."""
    if not isinstance(location, str):
        return data
    if Path(location).is_dir() and not (Path(location) / "dataset_info.json").is_file():
        return ImageFolders(train=location)
    return data if isinstance(data, Table) else Table(train=location)


def add_image(reading: Reading, value: Any, label: Any, where: str, folder: Path, findings: Findings) -> None:
    """Keep an image to be looked at with its label, or note what is wrong with either.

    `value` is a path, which counts from `folder`, or the image: its bytes, or what Parquet and the hub make of it.
    """
    name = labels_in(label, where, findings)
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if value is None or value is MISSING or value == "" or value == b"":
        reading.empty_rows += 1
    elif isinstance(value, bytes):
        _keep(reading, value, where, name, where)
    elif not isinstance(value, str) or "\0" in value:
        do = "give a path, or the bytes of the image as Parquet holds them"
        findings.add("image", "the cell is neither a path nor an image", where, do)
    elif not Path(value).is_absolute() and os.path.normpath(value).startswith(".."):
        do = "put the image below the table's folder, or write its whole path"
        findings.add("outside", f"the path {value!r} leads out of the folder of the table", where, do)
    else:
        shown = value if len(value) <= LONGEST_NAME else f"{value[:LONGEST_NAME]}…"
        _keep(reading, folder / value, value, name, where if where == value else f"{where} ({shown})")


def _keep(reading: Reading, source: Path | bytes, name: str, label: str | tuple[str, ...] | None, where: str) -> None:
    if label is not None:
        reading.unseen.append((source, name, label, where))


def look_at_all(reading: Reading, task: PlainTask, findings: Findings) -> None:
    """Make rows of the images that can be decoded; note the others, or count them where the task skips them."""
    if not reading.unseen:
        return
    pillow()
    broken = []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        pictures = threads.map(_seen, (source for source, *_ in reading.unseen))
        for (_, name, label, where), picture in zip(reading.unseen, pictures, strict=True):
            if isinstance(picture, Picture):
                reading.rows.append(Row(name, label, where, image=picture))
            else:
                broken.append((where, picture))
    reading.unseen = []
    if skips_broken(task):
        shown = "; ".join(f"{_writable(where)}: {reason}" for where, reason in broken[:SHOWN])
        more = f" and {len(broken) - SHOWN:,} more" if len(broken) > SHOWN else ""
        reading.notes += [f"{len(broken):,} images cannot be used and are left out: {shown}{more}"] if broken else []
    else:
        do = "mend or remove it; task.broken='skip' leaves such images out"
        for where, reason in broken:
            findings.add("broken", f"the image cannot be used: {reason}", where, do)
    _note_moving(reading)


def _seen(source: Path | bytes) -> Picture | str:
    try:
        return looked_at(source)
    except ValueError as error:
        return str(error)


def _note_moving(reading: Reading) -> None:
    """Of a GIF the first frame counts; one among photographs may be a placeholder."""
    kinds = Counter(row.image.kind for row in reading.rows if row.image is not None)
    moving = [row.where for row in reading.rows if row.image is not None and row.image.kind == "GIF"]
    if moving and len(kinds) > 1:
        others = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common() if kind != "GIF")
        shown = ", ".join(map(_writable, moving[:SHOWN])) + (", …" if len(moving) > SHOWN else "")
        reading.notes.append(f"{len(moving):,} GIF among {others}, of which the first frame is taken: {shown}")


def _writable(where: str) -> str:
    """A place as a report can hold it: the bytes of a file's name need not be text."""
    return where.encode(errors="backslashreplace").decode()
