"""What the ranks of a machine hold of a split: proportional set sizes, as the kernel shares pages out.

    python benchmarks/split_memory.py [--megabytes 200] [--ranks 4]

Each rank is a process that loads the split, looks at every row once in the order of an epoch, and waits. Printed as
JSON: the file's size, what all ranks hold together above what they held before (PSS, so a shared page counts once), and
how fast rows came. `--copied` loads as the library does, a copy for each process, to compare with.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np

from launcher.training.batches import split_file
from launcher.training.batches.order import global_batches, share
from launcher.training.batches.split import Ragged, Split, occurrences

LENGTH, BATCH, VOCABULARY = 64, 256, 30_000


def write(path: Path, megabytes: int) -> int:
    """A split of random tokens; its bytes."""
    rows = max(1, megabytes * 10**6 // (4 * LENGTH + 40))
    chance = np.random.default_rng(0)
    ids = chance.integers(2, VOCABULARY, rows * LENGTH, dtype=np.int32)
    tokens = Ragged(ids, np.arange(rows + 1, dtype=np.int64) * LENGTH)
    columns = {"input_ids": tokens, "labels": chance.integers(0, 2, rows, dtype=np.int64)}
    split_file.write([Split(columns, {"loss": np.ones(rows, dtype=np.int64)}, tokens.lengths, np.arange(rows))], path)
    return path.stat().st_size


def held() -> int:
    """The proportional set size of this process in bytes."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    raise OSError("the kernel tells no proportional set size")


def mapped(path: Path) -> int:
    """The part of it that is this file's pages."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split(maxsplit=1)[0]
        if not first.endswith(":"):
            inside = line.endswith(str(path))
        elif inside and first == "Pss:":
            total += 1024 * int(line.split()[1])
    return total


def rank(path: Path, number: int, ranks: int, copied: bool, all_there: Barrier, answers: Any) -> None:
    """Be one rank."""
    all_there.wait()
    before = held()
    all_there.wait()
    split = Split.load(path)
    if copied:
        tokens = Ragged(*(values.copy() for values in split.ragged("input_ids")))
        columns = {"input_ids": tokens, "labels": split.array("labels").copy()}
        split = Split(columns, {"loss": split.targets["loss"].copy()}, split.cost.copy(), split.example.copy())
    occurrences(split.token_ids, VOCABULARY)
    began, rows = time.perf_counter(), 0
    for batch in global_batches(split.cost, BATCH, 0, 0):
        for part in share(batch, number, ranks, BATCH):
            split.ragged("input_ids").padded(part.rows, 0)
            split.array("labels")[part.rows]
            rows += len(part.rows)
    seconds = time.perf_counter() - began
    all_there.wait()
    told = (held() - before, mapped(path), rows / seconds)
    all_there.wait()
    answers.put(told)


def measure(path: Path, ranks: int, copied: bool) -> dict[str, float]:
    """Bytes that all ranks hold together of the split, and rows a second of one rank."""
    context = multiprocessing.get_context("fork")
    all_there, answers = context.Barrier(ranks), context.Queue()
    started = [
        context.Process(target=rank, args=(path, number, ranks, copied, all_there, answers)) for number in range(ranks)
    ]
    for process in started:
        process.start()
    told = [answers.get(timeout=600) for _ in started]
    for process in started:
        process.join()
    of_all, of_file, rates = zip(*told, strict=True)
    return {"held_bytes": sum(of_all), "of_these_the_file": sum(of_file), "rows_per_second": round(min(rates))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--copied", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.safetensors"
        size = write(path, options.megabytes)
        told = {"split_bytes": size, "ranks": options.ranks, **measure(path, options.ranks, options.copied)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
