"""How much memory the kernel lets this process have: the tightest limit of its control groups, version 1 and 2.

A container, a systemd unit and a job of Slurm have less than the machine, and are killed where they take more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PROCESS = Path("/proc/self")
BOUNDLESS = 1 << 60
"""Version 1 writes a number as large as this where there is no limit."""
FILES = {
    "cgroup2": ("memory.max", "memory.current", ("inactive_file", "active_file")),
    "cgroup": ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
}
"""The limit, what is taken, and what of that the kernel gives back when memory is short: cached files."""


def limit(process: Path = PROCESS) -> int | None:
    """The least limit of the process's group and of those around it, in bytes; None where there is none."""
    return min((most for _, _, most in _limited(process)), default=None)


def room(process: Path = PROCESS) -> int | None:
    """Bytes that are left below the limits; None where there is none."""
    left = []
    for folder, kind, most in _limited(process):
        _, usage, cached = FILES[kind]
        taken = _number(folder / usage)
        if taken is not None:
            left.append(max(0, most - taken + _cached(folder / "memory.stat", cached)))
    return min(left, default=None)


def _limited(process: Path) -> Iterator[tuple[Path, str, int]]:
    """The folders of the groups that have a limit, with their kind and the limit."""
    groups = _groups(process)
    for kind, root, mount in _mounts(process):
        if kind not in groups:
            continue
        # in a container the mount may show a part of the tree only, or the path may be the host's
        inside = PurePosixPath(groups[kind])
        below = inside.relative_to(root) if inside.is_relative_to(root) else PurePosixPath()
        for folder in (mount / below, *(mount / parent for parent in below.parents)):
            most = _number(folder / FILES[kind][0])
            if most is not None and most < BOUNDLESS:
                yield folder, kind, most


def _groups(process: Path) -> dict[str, str]:
    """The path of the process's group in the tree that counts memory, by the version of that tree."""
    paths = {}
    for line in _lines(process / "cgroup"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            paths["cgroup2"] = path
        elif "memory" in controllers.split(","):
            paths["cgroup"] = path
    return paths


def _mounts(process: Path) -> Iterator[tuple[str, str, Path]]:
    """The mounted trees that may count memory: version, the part that is mounted, and where."""
    for line in _lines(process / "mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or not kind:
            continue
        if kind[0] == "cgroup2" or (kind[0] == "cgroup" and "memory" in kind[-1].split(",")):
            yield kind[0], fields[3], Path(fields[4])


def _cached(path: Path, names: tuple[str, ...]) -> int:
    counts = (line.split() for line in _lines(path))
    return sum(int(words[1]) for words in counts if len(words) == 2 and words[0] in names and words[1].isdigit())


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()  # `max` where there is no limit
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return []


def available_memory() -> int:
    """Bytes that processes can have without swapping, and without being killed by a limit of their container or job."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            machine = int(line.split()[1]) << 10
    least = room()
    return machine if least is None else min(machine, least)
