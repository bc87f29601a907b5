"""A cache that several users may share: only our own files that match their digests are used, all else is made again.

What another user has put at our path stays there: then our own path has our user number in its name.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launcher.errors import DataError, Problem, WorkerError
from launcher.runs.seals import Damaged, damage, digests, read_sealed, write_sealed

FACTS = "facts.json"


def place_for(path: Path) -> Path:
    """`path`, or a name beside it, where no other user owns what is there or its lock. Raises DataError."""
    me = _me(path.parent)
    own = path.with_name(f"{path.stem}-{me}{path.suffix}")
    for candidate in (path, own):
        if all(_is_of(me, each) for each in (candidate, candidate.with_suffix(".lock"))):
            return candidate
    do = "set RECIPE_LAUNCHER_CACHE to a folder of your own"
    raise DataError(Problem("another user owns what is at our path in the cache", str(own), do))


def seal(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts, last, with the digests of all other files of the folder."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = digests(folder, sorted(name for name in names if name != FACTS))
    write_sealed(folder / FACTS, {**facts, "files": files})


def believed(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """The facts, and what is wrong: a file of another user, or one that is not as it was written."""
    try:
        facts = read_sealed(folder / FACTS)
        files = facts.pop("files")
        me = _me(folder)
        foreign = [name for name in (".", FACTS, *files) if not _is_of(me, folder / name, linked=True)]
        fault = f"{foreign[0]} belongs to another user" if foreign else damage(folder, files)
    except (Damaged, KeyError, OSError) as error:
        return None, str(error)
    return (None, fault) if fault else (facts, "")


def kept_file(place: Path, make: Callable[[Path], None]) -> Path:
    """A file of the cache that is named by all that decides its content; `make` writes it where there is no whole one.

    It is written beside its place and moved there, and the digest that proves it whole lies beside it as JSON.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    place = place_for(place)
    about = place.with_suffix(".json")
    try:
        if not damage(place.parent, read_sealed(about)["files"]):
            return place
    except (Damaged, KeyError):
        pass
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="making-") as scratch:
        unfinished = Path(scratch) / place.name
        make(unfinished)
        unfinished.replace(place)
    write_sealed(about, {"files": digests(place.parent, [place.name])})
    return place


def refuse_damage(folder: Path) -> None:
    """Raise WorkerError where prepared data is not as it was written, or is another user's."""
    if fault := believed(folder)[1]:
        do = "resume the run: the data is prepared anew"
        raise WorkerError(Problem(f"the prepared data cannot be trusted: {fault}", str(folder), do))


def _me(folder: Path) -> int:
    """Who owns a file that we create there: a network file system may know us by another number."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_uid
    except OSError:  # it may be read only
        return os.geteuid()


def _is_of(user: int, path: Path, linked: bool = False) -> bool:
    """Whether that user owns what is there, if anything is; of a link's target where links are allowed."""
    try:
        about = path.stat(follow_symlinks=linked)
    except FileNotFoundError:
        return True
    return about.st_uid == user and not stat.S_ISLNK(about.st_mode)
