"""A fastText model of 2.4 GB: vectors of 50,000 words out of the mapped file, beside the official library.

    python benchmarks/fasttext_loading.py [--buckets 2000000] [--dimension 300] [--chinese 0.1] [--folder /tmp]

The library trains the model first, on made-up words, in a folder that goes afterwards; its time is not counted. Then
processes of each side take turns, on a file that lies in the page cache; imports are not counted. Of the words a fifth
is not in the model, so their vectors come from n-grams alone.

    load       seconds from the file's path to the vectors of all words as a tensor of torch
    ids, words words a second, once it is loaded: rows of n-grams, and vectors, on one core (CPU seconds)
    first      memory that the first process takes above its imports, MB: its own, and its share of the file's pages
    further    what one more process adds to that of all
    apart      the largest difference between the two sides' vectors, divided by their lengths
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import save, say, say_machine, spread, table

SIDES = ("launcher", "official")
MODEL, ASKED = "model.bin", "asked.txt"


def made_up(number: int, chinese: float) -> list[str]:
    """Different words of two to four syllables or, that share of them, Chinese characters; always the same ones."""
    draw, found = random.Random(0), dict[str, None]()
    syllables = [
        a + b + c for a in "bcdfghklmnprst" for b in ("a", "e", "i", "o", "u", "ou") for c in ("", "n", "s", "r")
    ]
    characters = [chr(point) for point in range(0x4E00, 0x4E00 + 2000)]
    while len(found) < number:
        parts = characters if draw.random() < chinese else syllables
        found["".join(draw.choices(parts, k=draw.randint(2, 4)))] = None
    return list(found)


def train(folder: Path, options: argparse.Namespace) -> None:
    """The model, and the words that are asked for."""
    import fasttext

    words = made_up(options.words + options.asked // 5, options.chinese)
    draw = random.Random(1)
    with (folder / "text").open("w", encoding="utf-8") as text:
        for start in range(0, options.words, 10):
            text.write(" ".join(words[start : start + 10] + draw.choices(words[:1000], k=5)) + "\n")
    settings = {"dim": options.dimension, "bucket": options.buckets, "minn": 3, "maxn": 6, "minCount": 1, "epoch": 1}
    model = fasttext.train_unsupervised(str(folder / "text"), "cbow", ws=1, neg=1, thread=2, verbose=0, **settings)
    model.save_model(str(folder / MODEL))
    known = words[: options.words]
    asked = draw.sample(known, options.asked - options.asked // 5) + words[options.words :]
    draw.shuffle(asked)
    (folder / ASKED).write_text("\n".join(asked), encoding="utf-8")


def rank(side: str, folder: Path) -> None:
    """Be one process: load and tell, measure rates and tell, then tell at each line of input what is held."""
    import numpy as np
    import torch

    words = (folder / ASKED).read_text(encoding="utf-8").split("\n")
    before = held()
    if side == "launcher":
        from launcher.training.fasttext.model_file import FastTextFile

        load, ids, vectors = _ours(FastTextFile)
    else:
        import fasttext

        load, ids, vectors = _theirs(fasttext)
    wall, cpu = time.perf_counter(), time.process_time()
    model = load(folder / MODEL)
    tensor = torch.from_numpy(vectors(model, words))
    told: dict[str, Any] = {"load": time.perf_counter() - wall, "load_cpu": time.process_time() - cpu}
    told["held"] = held() - before
    for name, work in (("ids", ids), ("words", vectors)):
        began = time.process_time()
        work(model, words)
        told[name] = len(words) / (time.process_time() - began)
    length = tensor.norm(dim=1, keepdim=True)
    np.save(folder / f"{side}.npy", (tensor / torch.where(length > 0, length, 1)).numpy())
    say(json.dumps(told))
    for _ in sys.stdin:
        say(str(held() - before))


def _ours(file: Any) -> tuple[Any, Any, Any]:
    return file.open, lambda model, words: model.rows_of(words), lambda model, words: model.vectors(words)


def _theirs(library: Any) -> tuple[Any, Any, Any]:
    import numpy as np

    return (
        lambda path: library.load_model(str(path)),
        lambda model, words: [model.get_subwords(word)[1] for word in words],
        lambda model, words: np.stack([model.get_word_vector(word) for word in words]),
    )


def held() -> int:
    """Bytes of this process: what is its own, and its share of the model's pages (PSS)."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            inside = line.endswith(MODEL)
        elif first == ("Pss:" if inside else "Anonymous:"):
            total += 1024 * int(rest[0])
    return total


def started(side: str, folder: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A process that has loaded, and what it told."""
    command = [sys.executable, __file__, "--rank", side, "--folder", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ONE_THREAD)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        sys.exit(f"a process of {side} broke")
    return process, json.loads(line)


ONE_THREAD = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}


def all_held(processes: list[subprocess.Popen[str]]) -> int:
    """What these processes hold together, now."""
    total = 0
    for process in processes:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        total += int(process.stdout.readline())
    return total


def measure(side: str, folder: Path, further: bool) -> dict[str, Any]:
    """One process, and where asked for what a second one adds."""
    with (folder / MODEL).open("rb") as file:  # into the page cache
        while file.read(2**24):
            pass
    first, told = started(side, folder)
    processes = [first]
    if further:
        alone = all_held(processes)
        processes.append(started(side, folder)[0])
        told["further"] = all_held(processes) - alone
    for process in processes:
        process.communicate()
    return told


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (
        ("words", 100_000),
        ("asked", 50_000),
        ("buckets", 2_000_000),
        ("dimension", 300),
        ("rounds", 3),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--chinese", type=float, default=0.1, help="share of the words")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rank", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank:
        return rank(options.rank, options.folder)
    facts = say_machine()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch)
        train(folder, options)
        say(f"a model of {(folder / MODEL).stat().st_size / 1e9:.2f} GB; {options.asked:,} words")
        told: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for number in range(options.rounds):
            for side in SIDES:
                told[side].append(measure(side, folder, further=number == 0))
        apart = _apart(folder)
    rows = [_row(side, told[side]) for side in SIDES]
    table(["side", "load s (min / median / max)", "load CPU s", "ids/s", "words/s", "first MB", "further MB"], rows)
    for name in ("load", "load_cpu"):
        middle = {side: statistics.median(one[name] for one in told[side]) for side in SIDES}
        say(f"{name}: {middle['launcher'] / middle['official']:.3f} of the library's")
    say(f"vectors at most {apart:.1e} apart")
    save(options.json, facts, vars(options), {**told, "apart": apart})
    return None


def _row(side: str, told: list[dict[str, Any]]) -> list[str]:
    def of(name: str) -> float:
        return statistics.median(one[name] for one in told)

    memory = [f"{told[0][name] / 1e6:,.0f}" for name in ("held", "further")]
    load = [spread([one[name] for one in told]) for name in ("load", "load_cpu")]
    return [side, *load, f"{of('ids'):,.0f}", f"{of('words'):,.0f}", *memory]


def _apart(folder: Path) -> float:
    import numpy as np

    ours, theirs = (np.load(folder / f"{side}.npy") for side in SIDES)
    return float(np.abs(ours - theirs).max())


if __name__ == "__main__":
    main()
