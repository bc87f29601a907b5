"""Test accuracy on the Chinese reviews: a recipe over several seeds, next to two classic baselines.

  recipe      recipes/reviews_zh.py (or another of its data) by `launcher run`, once for each training seed
  fasttext    the official supervised classifier: lr 0.5, 5 epochs, dimension 50, wordNgrams 3, 2 million buckets,
              characters parted by spaces, one thread; over as many orders of the rows as the recipe has seeds
  linear_svc  scikit-learn's LinearSVC over TF-IDF of character 1- to 3-grams

All see the same split, read by the launcher's own reader; the baselines train on its training rows alone, as
the recipe does (its validation rows only choose the best epoch). One split of 3,000 rows has a standard error of 0.6
points, whatever is compared on it: with --own-splits each seed cuts its own test rows, for all three. Example:

  python benchmarks/fasttext_reviews.py --seeds 5 --recipe recipes/reviews_lexicon_zh.py --json /tmp/reviews.json
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from measure import run, save, say, say_machine, spread, table

from launcher.recipe.recipe import load
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.training.data import Corpus, Row, read_corpus

RECIPE = Path(__file__).parent.parent.resolve() / "recipes" / "reviews_zh.py"
FASTTEXT = {"lr": 0.5, "epoch": 5, "dim": 50, "wordNgrams": 3, "bucket": 2_000_000, "thread": 1}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="what is compared (default recipes/reviews_zh.py)")
    parser.add_argument("--seeds", type=int, default=5, help="runs of the recipe, seeds 0, 1, ... (default 5)")
    parser.add_argument("--own-splits", action="store_true", help="each seed cuts its own test rows (data.split_seed)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override the recipe (a trial)")
    parser.add_argument("--json", type=Path, help="write all raw figures there")
    return parser.parse_args()


def trained(recipe: Path, seed: int, folder: Path, sets: list[str]) -> dict[str, Any]:
    """One run of the recipe; its test metrics and seconds. All seeds share the cache in `folder`."""
    name = f"seed-{seed}"
    command: list[str | Path] = [sys.executable, "-m", "launcher", "run", recipe.resolve(), "--name", name]
    for pair in [f"training.seed={seed}", *sets]:
        command += ["--set", pair]
    environment = {"RECIPE_LAUNCHER_CACHE": str(folder / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    run(command, folder / f"{name}.log", folder, environment)
    outcome = read_json(RunFolder(folder / "runs" / name).outcome)
    test = outcome["metrics"]["test"]
    seconds = outcome["seconds"]
    told = {key: test[key] for key in ("accuracy", "macro_f1", "examples")}
    return {"seed": seed, **told, "seconds": seconds["total"], "train": seconds["train"]}


def spaced(row: Row) -> str:
    """The visible characters of a text, parted by spaces: what both sides call a token."""
    return " ".join(character for character in row.text if not character.isspace())


def fasttext_accuracy(train: list[Row], test: list[Row], folder: Path, seed: int) -> dict[str, float]:
    """Train the official supervised classifier and score it.

    It trains in the order of its file and never shuffles; the corpus has one label after the other, which would
    leave it at chance (0.52). So the rows are shuffled by `seed` first.
    """
    import fasttext

    path = folder / "train.txt"
    order = random.Random(seed).sample(train, len(train))
    path.write_text("".join(f"__label__{row.label} {spaced(row)}\n" for row in order), encoding="utf-8")
    began = time.time()
    model = fasttext.train_supervised(str(path), verbose=0, **FASTTEXT)
    seconds = time.time() - began
    predicted, _ = model.predict([spaced(row) for row in test])
    right = sum(labels[0] == f"__label__{row.label}" for labels, row in zip(predicted, test, strict=True))
    return {"accuracy": right / len(test), "train": seconds}


def linear_svc_accuracy(train: list[Row], test: list[Row]) -> dict[str, float]:
    """Fit TF-IDF and a linear SVM and score them."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    pipeline = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True), LinearSVC(random_state=0)
    )
    began = time.time()
    pipeline.fit([row.text for row in train], [row.label for row in train])
    seconds = time.time() - began
    accuracy = pipeline.score([row.text for row in test], [row.label for row in test])
    return {"accuracy": float(accuracy), "train": seconds}


def summary(name: str, runs: list[dict[str, Any]]) -> list[str]:
    """One row of the table."""
    scores = [told["accuracy"] for told in runs]
    deviation = f"{statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
    seconds = spread([told["train"] for told in runs], 1)
    return [name, str(len(runs)), f"{statistics.mean(scores):.4f}", deviation, spread(scores, 4), seconds]


def say_rows(split: int, corpus: Corpus) -> None:
    """How many rows there are of each part, and what always saying the same would reach."""
    test = corpus.splits["test"]
    majority = max(sum(row.label == label for row in test) for label in corpus.labels) / len(test)
    counts = ", ".join(f"{len(rows):,} {name}" for name, rows in corpus.splits.items())
    say(f"split {split}: {counts}; the majority label is {majority:.1%} of test")


def main() -> None:
    args = arguments()
    facts = say_machine()
    recipe = load(args.recipe).recipe
    figures: dict[str, list[dict[str, Any]]] = {"linear_svc": [], "fasttext": [], "recipe": []}
    with tempfile.TemporaryDirectory(prefix="reviews-") as scratch:
        folder = Path(scratch)
        for seed in range(args.seeds):
            split = seed if args.own_splits else recipe.data.split_seed
            corpus = read_corpus(replace(recipe.data, split_seed=split), recipe.task)
            train, test = corpus.splits["train"], corpus.splits["test"]
            if args.own_splits or not seed:
                say_rows(split, corpus)
                figures["linear_svc"].append(linear_svc_accuracy(train, test))
            figures["fasttext"].append(fasttext_accuracy(train, test, folder, seed))
            told = trained(args.recipe, seed, folder, [f"data.split_seed={split}", *args.set])
            if told["examples"] != len(test):
                sys.exit(f"the recipe was tested on {told['examples']} rows, the baselines on {len(test)}")
            figures["recipe"].append(told)
            say(f"seed {seed}: " + ", ".join(f"{name} {runs[-1]['accuracy']:.4f}" for name, runs in figures.items()))
    say("")
    header = ("what", "runs", "mean test accuracy", "deviation", "min / median / max", "seconds of training")
    table(header, [summary(name, runs) for name, runs in figures.items()])
    means = {name: statistics.mean(told["accuracy"] for told in runs) for name, runs in figures.items()}
    say(f"\nthe recipe's mean is {100 * (means['recipe'] - means['fasttext']):+.2f} points against fastText's mean")
    save(args.json, facts, vars(args), figures)


if __name__ == "__main__":
    main()
