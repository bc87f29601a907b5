"""Exports of finished runs: how they answer the test split, how fast they are beside eager torch, how soon they answer.

    python benchmarks/exports.py RUN ... [--runs runs] [--output results.json]

Times are processor time of one thread, in rounds that take turns, so that what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from launcher.exported import contract
from launcher.model import model_folder
from launcher.printing import export_cells

SHAPES = ((1, 16), (8, 64))
ROUNDS = 30
FORMATS = {"onnx": [], "onnx int8": ["--int8"]}
RUNNING = """
import re, runpy, sys
from pathlib import Path
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""
"""The reader as it is, and then the most memory that the process held, in KiB: what wait4 says counts its parent's."""
ANSWER = "the acting is wonderful"


def exported(run: str, runs: Path, folder: Path, options: list[str]) -> dict[str, Any]:
    """What `launcher export --json` tells."""
    command = [str(Path(sys.executable).with_name("launcher")), "export", run, "--runs", str(runs), "--format", "onnx"]
    done = subprocess.run([*command, "--output", str(folder), "--json", *options], stdout=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def paired(computed: dict[str, Callable[[int, int], None]]) -> list[dict[str, Any]]:
    """Milliseconds of each at each shape, and its ratio to the first: the median of rounds that take turns."""
    found = []
    for rows, tokens in SHAPES:
        taken: dict[str, list[float]] = {name: [] for name in computed}
        for number in range(ROUNDS + 2):
            for name, compute in computed.items():
                began = time.process_time()
                compute(rows, tokens)
                taken[name] += [1000 * (time.process_time() - began)] if number >= 2 else []
        first = next(iter(taken.values()))
        for name, values in taken.items():
            ratios = [value / other for value, other in zip(values, first, strict=True)]
            middle = statistics.median(values), statistics.median(ratios), min(values) / min(first)
            found.append({"shape": f"{rows} x {tokens}", "format": name, "ms": middle[0], "ratio": middle[1]})
            found[-1]["ratio_of_least"] = middle[2]
    return found


def batch(rows: int, tokens: int) -> dict[str, np.ndarray]:
    """Tokens of BERT's usual vocabulary, by chance."""
    draw = np.random.Generator(np.random.Philox(rows))
    return {
        "input_ids": draw.integers(1000, 20_000, size=(rows, tokens)),
        "attention_mask": np.ones((rows, tokens), dtype=np.int64),
    }


def eager(folder: Path) -> Callable[[int, int], None]:
    """The model as it was trained, in fp32."""
    import torch

    from launcher.training.result.model_folder import load_saved_model

    torch.set_num_threads(1)
    model = load_saved_model(folder).model

    def compute(rows: int, tokens: int) -> None:
        with torch.inference_mode():
            model(**{name: torch.from_numpy(values) for name, values in batch(rows, tokens).items()})

    return compute


def graph(folder: Path) -> Callable[[int, int], None]:
    """An export's graph."""
    from launcher.training.result.onnx_graph import session_of

    session = session_of(folder / contract.GRAPH)

    def compute(rows: int, tokens: int) -> None:
        session.run(None, batch(rows, tokens))

    return compute


def first_answer(folder: Path) -> dict[str, float]:
    """Seconds from the start of a process to its first answer, and the most memory that it held."""
    began = time.monotonic()
    command = [sys.executable, "-I", "-c", RUNNING, str(folder / "reader.py"), ANSWER]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    held = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, held
    seconds = time.monotonic() - began
    return {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, "megabytes": int(held) / 1024}


def soonest(folder: Path) -> dict[str, float]:
    """The best of five."""
    return min((first_answer(folder) for _ in range(5)), key=lambda each: each["seconds"])


def measured(run: str, runs: Path, scratch: Path) -> dict[str, Any]:
    """All of one run."""
    folders = {name: scratch / f"{Path(run).name} {name}".replace(" ", "_") for name in FORMATS}
    told = {name: exported(run, runs, folders[name], options) for name, options in FORMATS.items()}
    rows = told["onnx int8"]["rows"]
    times = paired({"eager torch": eager(model_folder(run, runs)), **{n: graph(f) for n, f in folders.items()}})
    answers = {
        name: min((first_answer(folder) for _ in range(5)), key=lambda each: each["seconds"])
        for name, folder in folders.items()
    }
    return {
        "run": Path(run).name,
        "metric": told["onnx"]["metric"],
        "exporter": told["onnx"]["exporter"],
        "parity": told["onnx"]["parity"]["largest_difference"],
        "int8": told["onnx int8"]["int8"],
        "size": rows[-1]["bytes"] / rows[-2]["bytes"],
        "formats": rows,
        "times": times,
        "first_answer": answers,
    }


def shown(found: dict[str, Any]) -> list[str]:
    """As lines of Markdown."""
    lines = [f"## {found['run']} ({found['exporter']}, largest difference {found['parity']:.1g})", ""]
    head, *cells = export_cells(found["formats"], found["metric"])
    lines += [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)]
    lines += ["", f"int8: {found['size']:.3f} of the graph's size; {json.dumps(found['int8'])}", ""]
    lines += ["| rows x tokens | | CPU ms | to eager torch | of the least |", "|---|---|---|---|---|"]
    for each in found["times"]:
        figures = f"{each['ms']:.1f} | {each['ratio']:.2f} | {each['ratio_of_least']:.2f}"
        lines.append(f"| {each['shape']} | {each['format']} | {figures} |")
    lines += ["", "| reader.py | seconds to its end | CPU seconds | MB |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {each['seconds']:.2f} | {each['cpu_seconds']:.2f} | {each['megabytes']:.0f} |"
        for name, each in found["first_answer"].items()
    ]
    return [*lines, ""]


def main() -> None:
    """Print the tables of these runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", nargs="+")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--output", type=Path, help="write all figures there, as JSON")
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="exports-"))
    try:
        found = [measured(run, given.runs, scratch) for run in given.run]
    finally:
        shutil.rmtree(scratch)
    print("\n".join(line for each in found for line in shown(each)))
    if given.output:
        given.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
