"""From the location a recipe names to what can be opened: a local file, a saved data set, a split of the hub."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from launcher.errors import DataError, Problem, did_you_mean
from launcher.recipe.data import Data, ImageFolders
from launcher.training.data import images
from launcher.training.data.examples import Files, Location, Source
from launcher.training.data.findings import Findings

FORMS = "write a path, package:NAME/path or hub:owner/name[/config]#split"
PATTERN = re.compile(r"[*?[]")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
OF_THE_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
"""What a data set of the hub is called."""
LISTED = 12
"""Of a folder with more files than this only a near name is shown, not all of them."""
SEARCHED = 2000
"""Files of a folder among which a near name is looked for."""


@dataclass(frozen=True)
class LocalFile:
    """A regular file on this machine."""

    path: Path


@dataclass(frozen=True)
class SavedDataset:
    """A folder written by `datasets.save_to_disk`."""

    path: Path


@dataclass(frozen=True)
class HubSplit:
    """One split of a data set of the Hugging Face hub."""

    repository: str
    config: str | None
    split: str


Resolved = LocalFile | SavedDataset | HubSplit


def sources_of(location: Location, findings: Findings, data: Data) -> list[Source]:
    """Everything that one split of such data is read from, in order; notes folders and patterns that match nothing."""
    by_label: dict[str | None, Files] = dict(location.items()) if isinstance(location, dict) else {None: location}
    sources = []
    for label, files in by_label.items():
        seen: set[str] = set()
        for one in [files] if isinstance(files, str) else files:
            try:
                if isinstance(data, ImageFolders):
                    sources += images.class_folders(_folder(one), one, findings)
                    continue
                locations = files_of(one)
            except DataError as error:
                findings.absorb(error)
                continue
            for file in locations:
                if os.path.normpath(file) in seen:
                    findings.add("twice", f"{file} is named twice in one split", do="name each file once")
                seen.add(os.path.normpath(file))
            sources += [Source(file, label) for file in locations]
    return sources


def _folder(location: str) -> Path:
    scheme, colon, rest = location.partition(":")
    return _in_package(location, rest) if colon and scheme == "package" else Path(location)


def files_of(location: str) -> list[str]:
    """The single files: `location` itself, or all files of a folder or pattern, by name.

    Raises DataError where a pattern matches no file and where a folder holds anything but files.
    """
    if not location.strip():
        raise DataError(Problem("the path of a file is empty", do=FORMS))
    scheme, colon, rest = location.partition(":")
    if colon and scheme == "hub":
        return [location]
    if ADDRESS.match(location):
        do = "download it and name the file; a data set of the hub is written hub:owner/name#split"
        raise DataError(Problem(f"{location} is an address, and only files are read", do=do))
    packaged = bool(colon) and scheme == "package"
    path = _in_package(location, rest) if packaged else Path(location)
    if path.is_dir():
        return _in_folder(path, location)
    if packaged or not PATTERN.search(location) or path.exists():
        return [location]
    matches = sorted(str(file) for file in _matching(path) if file.is_file() and not _hidden(file, path))
    if not matches:
        raise DataError(Problem(f"no file matches {location}", _relative_to(path), "mind the folder and the ending"))
    return matches


def _hidden(file: Path, pattern: Path) -> bool:
    """Whether the file, or a folder that it is in, is hidden, and the pattern does not name it: editors' copies."""
    return any(part.startswith(".") and part not in pattern.parts for part in file.parts)


def _matching(pattern: Path) -> Iterable[Path]:
    try:
        return Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    except ValueError as error:
        raise DataError(Problem(f"{str(pattern)!r} is not a pattern: {error}", do=FORMS)) from None


def _in_folder(path: Path, location: str) -> list[str]:
    if any((path / name).is_file() for name in ("dataset_info.json", "dataset_dict.json")):
        return [location]
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith((".", "__")))
    folders = [entry.name for entry in inside if entry.is_dir()]
    if folders or not inside:
        shown = f"folders: {', '.join(folders[:5])}" if folders else "no files"
        do = f"name files by a pattern, as {location}/**/*.csv" if folders else ""
        raise DataError(Problem(f"{location} is a folder, and holds {shown}", do=do))
    return [f"{location.rstrip('/')}/{entry.name}" for entry in inside]


def resolve(location: str) -> Resolved:
    """What `location` names. Raises DataError where it names nothing that can be read."""
    scheme, colon, rest = location.partition(":")
    if colon and scheme == "hub":
        return _hub(location, rest)
    if colon and scheme == "package":
        return _local(_in_package(location, rest), location)
    return _local(Path(location), location)


def folder_of(location: str) -> Path:
    """From where paths in a table count: its own folder; for a data set of the hub the one we are in."""
    resolved = resolve(location)
    return Path() if isinstance(resolved, HubSplit) else resolved.path.parent


def shown_names(locations: Iterable[str]) -> dict[str, str]:
    """A short name for each location to use in messages: the file's own, or all of it where two are alike."""
    short = {
        location: location if location.startswith("hub:") else PurePosixPath(location).name or location
        for location in locations
    }
    counts = Counter(short.values())
    return {location: name if counts[name] == 1 else location for location, name in short.items()}


def _local(path: Path, location: str) -> LocalFile | SavedDataset:
    try:
        if path.is_file():
            return LocalFile(path)
        if (path / "state.json").is_file() and (path / "dataset_info.json").is_file():
            return SavedDataset(path)
        if path.is_dir():
            raise DataError(_folder_problem(path, location))
        if path.exists():
            raise DataError(Problem(f"{location} is not a regular file"))
    except (OSError, ValueError) as error:
        raise DataError(Problem(f"{location!r} cannot be opened: {error}", do=FORMS)) from None
    raise DataError(_missing(path, location))


def _folder_problem(path: Path, location: str) -> Problem:
    if (path / "dataset_dict.json").is_file():
        splits = sorted(p.name for p in path.iterdir() if p.is_dir())
        return Problem(
            f"{location} holds several splits: {', '.join(splits)}", do=f"name one of them: {location}/{splits[0]}"
        )
    return Problem(f"{location} is a folder, not a file", do=_siblings(path, ""))


def _missing(path: Path, location: str) -> Problem:
    if path.parent.is_dir():
        return Problem(f"there is no file {location}", where=_relative_to(path), do=_siblings(path.parent, path.name))
    if OF_THE_HUB.fullmatch(location) and not path.suffix:
        do = f"a data set of the hub is written hub:{location}#train"
        return Problem(f"there is no file {location}", where=_relative_to(path), do=do)
    folder = path.parent
    while not folder.parent.is_dir():
        folder = folder.parent
    what = f"there is no file {location}: the folder {folder} does not exist"
    return Problem(what, where=_relative_to(path), do=_siblings(folder.parent, folder.name))


def _relative_to(path: Path) -> str:
    return "" if path.is_absolute() else f"looked for below {Path.cwd()}"


def _siblings(folder: Path, name: str) -> str:
    try:
        files = islice((path.name for path in folder.iterdir()), SEARCHED)
        names = [name for name in files if not name.startswith(".")]
    except OSError:
        return ""
    near = did_you_mean(name, names)
    if near.startswith("known:") and len(names) > LISTED:
        return f"none of the {len(names):,} files in {folder.absolute()} is called like it"
    return near


def _in_package(location: str, rest: str) -> Path:
    """The path of a file inside an installed package, which is located and never imported."""
    name, _, inside = rest.partition("/")
    if not name.isidentifier() or not inside:
        raise DataError(Problem(f"{location!r} does not name a file in a package", do="package:NAME/path/in/it"))
    parts = PurePosixPath(inside)
    if parts.is_absolute() or ".." in parts.parts or "\\" in inside or "\0" in inside:
        raise DataError(Problem(f"{location!r} leaves the package's folder", do="give a path inside the package"))
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise DataError(_not_installed(location, name))
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not folders:
        raise DataError(Problem(f"{name} is a single module and holds no files", where=location))
    path = next((f / parts for f in folders if (f / parts).exists()), folders[0] / parts)
    if not any(path.resolve().is_relative_to(folder.resolve()) for folder in folders):
        raise DataError(Problem(f"{location!r} leaves the package's folder", do="give a path inside the package"))
    return path


def _not_installed(location: str, name: str) -> Problem:
    try:
        tops = (importlib.metadata.distribution(name).read_text("top_level.txt") or "").split()
    except importlib.metadata.PackageNotFoundError:
        return Problem(f"the package {name} is not installed here", where=location, do=f"pip install {name}")
    return Problem(f"no module is named {name}", where=location, do=f"it is imported as {' or '.join(tops)}")


HUB = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<config>[^#]+))?#(?P<split>[^#]+)")


def _hub(location: str, rest: str) -> HubSplit:
    match = HUB.fullmatch(rest)
    if match is None or ".." in rest:
        raise DataError(Problem(f"{location!r} does not name a split of the hub", do="hub:owner/name[/config]#split"))
    return HubSplit(match["repository"], match["config"], match["split"])
