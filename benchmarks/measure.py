"""What every benchmark here needs: the machine in a line, child processes, spreads, the file of raw figures."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

DISTURBED = 0.05
"""Share of all CPU time used by others during a run above which the run is called disturbed."""
PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "recipe-launcher")


def machine() -> dict[str, Any]:
    """The processor, the cores this process may use, memory, the versions that decide the figures, the load."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "python": sys.version.split()[0],
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "load_average": os.getloadavg()[0],
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def say_machine() -> dict[str, Any]:
    """Print the machine's line; its values."""
    facts = machine()
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    say(
        f"machine: {facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, "
        f"Python {facts['python']}, {versions}; load {facts['load_average']:.2f}"
    )
    if facts["load_average"] > 0.5:
        say("note: other work is running on this machine; these figures should not be recorded")
    return facts


def say(text: str) -> None:
    """One line of progress or result, at once."""
    print(text, flush=True)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """`min / median / max`."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{low:.{digits}f} / {middle:.{digits}f} / {high:.{digits}f}"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round, so that what disturbs the machine for a while disturbs both sides of a ratio."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def run(command: Sequence[str | Path], log: Path, folder: Path, environment: Mapping[str, str]) -> float:
    """Run to the end, output into `log`; the moment it was started. Exits with the log's end where it fails.

    Says so where others used the processors meanwhile: threads that wait for each other then lose tenfold.
    """
    words = [str(word) for word in command]
    with log.open("w") as file:
        busy, own = _busy_seconds(), _own_seconds()
        began = time.time()
        code = subprocess.run(
            words, cwd=folder, env={**os.environ, **environment}, stdout=file, stderr=subprocess.STDOUT
        ).returncode
        took = (time.time() - began) * (os.cpu_count() or 1)
        others = (_busy_seconds() - busy - (_own_seconds() - own)) / took
    if others > DISTURBED:
        say(f"disturbed: others used {others:.0%} of the processors during {log.stem}")
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        sys.exit(f"{tail}\nstatus {code} from: {' '.join(words)}")
    return began


def _busy_seconds() -> float:
    """CPU seconds that all processes of the machine have used (user, nice, system, interrupts)."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:8]]
    return sum(ticks[place] for place in (0, 1, 2, 5, 6)) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """CPU seconds of this process and its ended children."""
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print as a Markdown table, ready for the README."""
    say("| " + " | ".join(header) + " |")
    say("|" + "---|" * len(header))
    for row in rows:
        say("| " + " | ".join(row) + " |")


def save(path: Path | None, facts: dict[str, Any], arguments: Mapping[str, Any], figures: Any) -> None:
    """Write machine, arguments and raw figures to the `--json` file, where one was asked for."""
    if path is None:
        return
    told = {name: str(value) if isinstance(value, Path) else value for name, value in arguments.items()}
    whole = {"machine": facts, "arguments": told, "figures": figures}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    say(f"raw figures: {path}")
