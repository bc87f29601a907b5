"""Streamed corpora of growing size: whether memory stays flat, how soon the first rows are there, and a resumed run's.

    python benchmarks/streaming.py [--lines 100000 1000000 10000000] [--folder /tmp/corpora] [--figure flat.png]

Makes a corpus of so many lines (about 70 bytes each, kept in the folder), and for each of them starts processes that do
what a rank does, without a model: look at the corpus, train no tokenizer (a byte-level one of 8,000 tokens is trained
once, on the smallest), then take the rows of 400 steps of 32 rows, each of at most 256 tokens.

    look       seconds from a recipe to a known corpus: files, heads, sample, validation and test
    first      seconds from there to the rows of the first step
    rows/s     of the steps after it
    peak       largest resident memory of the process, MB; `above` is what of it came after the imports
    resume     seconds from a checkpoint at a random place to the rows of the next step, in a new process
    same       whether the 50 steps after it have the same bits as those of the process that was not stopped
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BATCH, STEPS, LENGTH, VOCABULARY, AFTER = 32, 400, 256, 8000, 50
WORDS = 20_000
BLOCK = 100_000
"""Lines that are made at a time."""


def write(path: Path, lines: int) -> None:
    """Lines of 4 to 20 words that follow Zipf's law, the same ones every time."""
    import numpy as np

    chance, letters = np.random.default_rng(0), "abcdefghijklmnopqrstuvwxyz"
    words = np.array(["".join(chance.choice(list(letters), chance.integers(2, 9))) for _ in range(WORDS)])
    with path.with_suffix(".part").open("w", encoding="utf-8") as file:
        for start in range(0, lines, BLOCK):
            counts = chance.integers(4, 21, min(BLOCK, lines - start))
            drawn = words[np.minimum(chance.zipf(1.2, int(counts.sum())) - 1, WORDS - 1)].tolist()
            ends = np.cumsum(counts).tolist()
            for number, end in enumerate(ends):
                first = ends[number - 1] if number else 0
                file.write(f"{start + number} {' '.join(drawn[first:end])}\n")
    path.with_suffix(".part").rename(path)


def tokenizer_in(folder: Path, corpus: Path) -> Path:
    """A byte-level tokenizer trained on the head of the corpus."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    with corpus.open(encoding="utf-8") as file:
        lines = [line for line, _ in zip(file, range(50_000), strict=False)]
    trained.train_from_iterator(lines, VOCABULARY, special_tokens=["<end>", "<pad>"])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, eos_token="<end>", pad_token="<pad>")
    wrapped.save_pretrained(folder)
    return folder


def rank(corpus: Path, tokenizer: Path, state: Path, resume: bool) -> dict[str, Any]:
    """What one process measures."""
    import numpy as np
    from transformers import AutoTokenizer

    from launcher import CausalLanguageModel, Texts
    from launcher.training.batches.split import Split
    from launcher.training.data import Row, read_corpus
    from launcher.training.streaming.stream import STANDING, Stream, StreamedRows
    from launcher.training.tasks import work_for
    from launcher.training.tasks.base import Reader, encoded

    class Alone:
        rank, size = 0, 1

        def summed(self, values: np.ndarray) -> np.ndarray:
            return values

    work = work_for(CausalLanguageModel(), Reader((), AutoTokenizer.from_pretrained(tokenizer), LENGTH))

    def encode(documents: Any) -> Split:
        return encoded(work, [Row(document.text, "", document.where) for document in documents]).split

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    data = Texts(train=str(corpus), streaming=True, validation_size=500, test_size=500)
    looked_at = read_corpus(data, CausalLanguageModel())
    looked = time.monotonic()
    stream = Stream(looked_at.stream, BATCH, 0, 3, False, encode, ("loss",), work.targets)
    rows = StreamedRows(stream, Alone(), BATCH, encode([looked_at.splits["train"][0]]))
    if resume:
        place = json.loads(state.read_text())
        rows.restore({STANDING: np.array(place["standing"], np.int64)})
        steps = range(place["step"], place["step"] + AFTER)
    else:
        rows.restore({STANDING: _anywhere(rows.state()[STANDING], looked_at.stream[0].shards)})
        steps = range(STEPS)
    restored, bits, counts = time.monotonic(), hashlib.sha256(), []
    measured: dict[str, Any] = {}
    for step in steps:
        made = rows.step(step)
        assert made is not None
        counts.append(made.examples)
        if step == steps.start:
            measured["first"] = time.monotonic() - (restored if resume else looked)
        if step >= STEPS - AFTER:
            bits.update(made.split.ragged("input_ids").values.tobytes())
        if step == STEPS - AFTER - 1:
            place = {"step": step + 1, "standing": rows.state()[STANDING].tolist()}
            state.write_text(json.dumps(place))
    rows.close()
    seconds, peak = time.monotonic() - restored - measured["first"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return measured | {
        "look": looked - began,
        "rows/s": sum(counts[1:]) / seconds,
        "peak": peak / 1000,
        "above": (peak - before) / 1000,
        "bits": bits.hexdigest(),
        "megabytes": looked_at.stream[0].size / 1e6,
    }


def _anywhere(standing: Any, shards: int) -> Any:
    """Where the lanes would stand at a random place of the first pass."""
    chance = random.Random(1)
    for number in range(len(standing)):
        standing[number, 1] = chance.randrange(max(1, shards // len(standing) * 3 // 4))
    return standing


def measure(lines: int, folder: Path, tokenizer: Path) -> dict[str, Any]:
    """The row of the table for one corpus."""
    corpus, state = folder / f"{lines}.txt", folder / f"{lines}.json"
    row = {"lines": lines}
    for resume in (False, True):
        command = [sys.executable, __file__, "--rank", str(corpus), str(tokenizer), str(state), str(int(resume))]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        made = json.loads(said.splitlines()[-1])
        row |= {"resume": made["first"], "same": made["bits"] == row["bits"]} if resume else made
    return row


def draw(table: list[dict[str, Any]], path: Path) -> None:
    """Peak memory above the imports against the size of the corpus."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot([row["megabytes"] for row in table], [row["above"] for row in table], "o-", label="memory of the stream")
    axes.plot([row["megabytes"] for row in table], [row["megabytes"] for row in table], ":", label="the corpus")
    axes.set(xlabel="size of the corpus, MB", ylabel="MB", xscale="log", yscale="log")
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print the table, and as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "streamed-corpora")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--rank", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rank is not None:
        corpus, tokenizer, state, resume = given.rank
        print(json.dumps(rank(Path(corpus), Path(tokenizer), Path(state), resume == "1")))
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    for lines in given.lines:
        if not (given.folder / f"{lines}.txt").exists():
            write(given.folder / f"{lines}.txt", lines)
    tokenizer = tokenizer_in(given.folder / "tokenizer", given.folder / f"{min(given.lines)}.txt")
    table = [measure(lines, given.folder, tokenizer) for lines in given.lines]
    names = ("lines", "megabytes", "look", "first", "rows/s", "peak", "above", "resume", "same")
    print("  ".join(f"{name:>10}" for name in names))
    for row in table:
        cells = [row[name] for name in names]
        print("  ".join(f"{cell:>10,.2f}" if isinstance(cell, float) else f"{cell!s:>10}" for cell in cells))
    print(json.dumps(table))
    if given.figure is not None:
        draw(table, given.figure)


if __name__ == "__main__":
    main()
