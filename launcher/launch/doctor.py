"""`launcher doctor`: is this machine fit to train, and what to do where it is not.

Each check is one small function that gives findings; one that breaks is a finding itself. What needs torch is done in
a child process (`training/self_check.py`), so a broken installation is reported and does not break the doctor. To check
something else, add a function to `CHECKS`.
"""

from __future__ import annotations

import contextlib
import locale
import os
import platform
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from launcher import child
from launcher.cluster import schedulers
from launcher.errors import BackendError, LauncherError
from launcher.host import machine_facts, this_user
from launcher.launch import preflight

NAME = "recipe-launcher"
LEAST_MEMORY, LEAST_DISK, LEAST_SPEED = 2e9, 2e9, 20e6
"""Bytes, and bytes a second: with less a small model trains badly or not at all."""
SECONDS_FOR_THE_HUB = 5.0


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    name: str
    grade: Literal["ok", "warn", "bad"]
    what: str
    do: str = ""

    def line(self) -> str:
        """As it is printed."""
        return f"{self.grade:<5}{self.name}: {self.what}" + (f"\n     do: {self.do}" if self.do else "")

    def document(self) -> dict[str, str]:
        """As JSON carries it."""
        return asdict(self)


def examine(runs: Path, say: Callable[[Finding], None]) -> list[Finding]:
    """Make every check and say each finding as it comes; all of them."""
    all_findings = []
    for name, check in CHECKS.items():
        try:
            findings = list(check(runs))
        except LauncherError as error:
            findings = [Finding(name, "bad", error.problems[0].what, error.problems[0].do)]
        except Exception as error:  # whatever breaks one check, the others are still made
            findings = [Finding(name, "bad", f"the check broke: {type(error).__name__}: {error}", "report it")]
        for finding in findings:
            say(finding)
        all_findings += findings
    return all_findings


def _python(runs: Path) -> Iterator[Finding]:
    admitted = metadata.metadata(NAME)["Requires-Python"]
    here = platform.python_version()
    if SpecifierSet(admitted).contains(here):
        yield Finding("python", "ok", f"{here} at {sys.executable}")
    else:
        yield Finding("python", "bad", f"{here}, but {NAME} needs {admitted}", "make the environment with another one")


def _packages(runs: Path) -> Iterator[Finding]:
    wanted = [Requirement(text) for text in metadata.requires(NAME) or ()]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = {one: here for one in wanted if not _admits(one, here := _version(one.name))}
    if not wrong:
        yield Finding("packages", "ok", f"{len(wanted)} as {NAME} {metadata.version(NAME)} admits")
        return
    versions = ", ".join(f"{one.name} {here or 'is missing'}" for one, here in wrong.items())
    needs = " ".join(f"'{one.name}{one.specifier}'" for one in wrong)
    yield Finding("packages", "bad", f"not what {NAME} admits: {versions}", f"pip install {needs}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _admits(wanted: Requirement, here: str | None) -> bool:
    return here is not None and wanted.specifier.contains(here, prereleases=True)


def _machine(runs: Path) -> Iterator[Finding]:
    facts, memory = machine_facts.facts(), preflight.available_memory()
    yield Finding("cores", "ok", f"{facts.cores} for this process")
    free = f"{memory / 1e9:.1f} of {facts.memory_bytes / 1e9:.1f} GB are free"
    if memory < LEAST_MEMORY:
        yield Finding("memory", "warn", free, "end what takes it, or a run is killed by the kernel")
    else:
        yield Finding("memory", "ok", free)
    gpus = ", ".join(f"{n} ({b / 1e9:.0f} GB)" for n, b in zip(facts.gpus, facts.gpu_memory_bytes, strict=True))
    if gpus:
        yield Finding("gpus", "ok", gpus)
    elif os.environ.get("CUDA_VISIBLE_DEVICES", "none").strip() in ("", "-1"):
        yield Finding("gpus", "warn", "CUDA_VISIBLE_DEVICES hides them all", "unset it to train on them")
    elif Path("/proc/driver/nvidia").exists() or Path("/dev/nvidiactl").exists():
        yield Finding("gpus", "bad", "there is an NVIDIA driver, but it reports no GPU", "see what `nvidia-smi` says")
    else:
        yield Finding("gpus", "ok", "none: runs train on the CPU")
    if not facts.gpus and not facts.cpu_bf16:
        yield Finding("bf16", "ok", 'this CPU has none: recipes with precision="bf16" are refused here')
    elif not facts.gpus:
        yield Finding("bf16", "ok", "this CPU computes in it")


def _disk(runs: Path) -> Iterator[Finding]:
    try:
        cache = this_user.cache_folder()
    except BackendError as error:
        (problem,) = error.problems
        yield Finding("cache", "bad", problem.what, problem.do)
        cache = runs.resolve()
    for name, folder in (("runs folder", runs.resolve()), ("cache", cache)):
        there = next(path for path in (folder, *folder.parents) if path.is_dir())
        milliseconds, why = preflight.written(there, 0)
        if why:
            do = "choose another --runs" if name == "runs folder" else "set RECIPE_LAUNCHER_CACHE to another folder"
            yield Finding(name, "bad", f"{there} cannot be written: {why}", do)
            continue
        free, speed = shutil.disk_usage(there).free, preflight.PROBE / (milliseconds / 1000)
        summary = f"{there}: {free / 1e9:.1f} GB free, a MB is written and synced in {milliseconds:.0f} ms"
        if free < LEAST_DISK:
            yield Finding(name, "warn", summary, "make room: a checkpoint holds three to four times the model")
        elif speed < LEAST_SPEED:
            yield Finding(name, "warn", summary, "checkpoints will be slow; a local disk is faster")
        else:
            yield Finding(name, "ok", summary)


def _compiler(runs: Path) -> Iterator[Finding]:
    compiler = machine_facts.compiler()
    if compiler is not None:
        yield Finding("compiler", "ok", compiler)
    else:
        do = "install g++ (Debian: apt install g++), or leave compile=True out of recipes; all else needs none"
        yield Finding("compiler", "warn", "no C++ compiler: torch.compile finds none to build with", do)


def _torch(runs: Path) -> Iterator[Finding]:
    for finding in child.heavy("diagnose", {"gpus": len(machine_facts.facts().gpus)}):
        yield Finding(**finding)


def _ports(runs: Path) -> Iterator[Finding]:
    try:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError as error:
        do = "bring the loopback interface up: ip link set lo up"
        yield Finding("loopback", "bad", f"no process reaches another one here: {error.strerror or error}", do)
        return
    yield Finding("loopback", "ok", f"port {port} was opened and reached")


def _text(runs: Path) -> Iterator[Finding]:
    encodings = {
        "the locale": locale.getpreferredencoding(False),
        "file names": sys.getfilesystemencoding(),
        "stdout": getattr(sys.stdout, "encoding", None) or "none",
    }
    other = [f"{where} {name}" for where, name in encodings.items() if name.lower().replace("-", "") != "utf8"]
    if other:
        yield Finding("text", "warn", f"not UTF-8: {', '.join(other)}", "export LANG=C.UTF-8 PYTHONUTF8=1")
    else:
        yield Finding("text", "ok", "UTF-8 everywhere")


def _hub(runs: Path) -> Iterator[Finding]:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        yield Finding("hub", "ok", "offline by HF_HUB_OFFLINE: models must be in the cache or in a folder")
        return
    address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    why = ""
    try:
        with contextlib.closing(urllib.request.urlopen(address, timeout=SECONDS_FOR_THE_HUB)):
            pass
    except urllib.error.HTTPError:
        pass  # it has answered
    except (OSError, ValueError) as error:
        why = str(getattr(error, "reason", error))
    if why:
        do = "give models as folders, set HF_ENDPOINT to a mirror, or HF_HUB_OFFLINE=1 so that nothing waits for it"
        yield Finding("hub", "warn", f"{address} does not answer: {why}", do)
    else:
        yield Finding("hub", "ok", f"{address} answers")


def _scheduler(runs: Path) -> Iterator[Finding]:
    name, scheduler = schedulers.name_here(), schedulers.here()
    if not scheduler.there():
        yield Finding(name, "ok", "none here: `launcher run` trains on this machine")
        return
    try:
        names = ", ".join(part.name for part in scheduler.cluster().partitions)
    except BackendError as error:
        do = error.problems[0].do or f"on a cluster ask its administrators; `launcher run` needs no {scheduler.NAME}"
        yield Finding(name, "warn", error.problems[0].what, do)
        return
    yield Finding(name, "ok", f"it answers; partitions: {names}")


CHECKS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "python": _python,
    "packages": _packages,
    "machine": _machine,
    "disk": _disk,
    "compiler": _compiler,
    "torch": _torch,
    "loopback": _ports,
    "text": _text,
    "hub": _hub,
    "scheduler": _scheduler,
}


def document(findings: list[Finding]) -> dict[str, Any]:
    """As `--json` prints it."""
    return {
        "host": socket.gethostname(),
        "fit": all(finding.grade != "bad" for finding in findings),
        "findings": [finding.document() for finding in findings],
    }
