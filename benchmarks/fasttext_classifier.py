"""fastText's classifier by the launcher's loop beside the official library, at the same settings on the same tokens.

  launcher    the recipe by `launcher run` on --processes, once for each seed
  official    `fasttext.train_supervised` on the training rows as the recipe cut them, with the recipe's dimension,
              n-grams and buckets, its own usual rate 0.5 and 5 epochs, over as many orders of the rows as seeds

Then each run is exported as a `.bin`, which the official library loads and asks about 10,000 texts. Times are those
of training alone. Examples:

  python benchmarks/fasttext_classifier.py --seeds 5 --json reviews.json
  python benchmarks/fasttext_classifier.py --recipe benchmarks/recipes/topics_fasttext.py \\
      --set data.train=DATA/ag_news/alps/dev.tsv --set data.test=DATA/ag_news/alps/test.tsv
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import run, save, say, say_machine, spread, table

from launcher.recipe.source import FastTextClassifier
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.training.batches.split import TOKENS, Split
from launcher.training.result.model_folder import SavedModel, load_saved_model

RECIPE = Path(__file__).parent.parent.resolve() / "recipes" / "fasttext_classifier_zh.py"
ASKED = 10_000
LEFT_OUT = ("[PAD]", "[UNK]", "</s>")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="with FastTextClassifier (default: the reviews)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="of the official library")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override the recipe")
    parser.add_argument("--json", type=Path, help="write all raw figures there")
    return parser.parse_args()


def trained(args: argparse.Namespace, seed: int, folder: Path) -> RunFolder:
    """One run of the recipe."""
    words: list[str | Path] = [sys.executable, "-m", "launcher", "run", args.recipe.resolve(), "--name", f"s{seed}"]
    words += ["--processes", str(args.processes), "--runs", folder / "runs"]
    for pair in [f"training.seed={seed}", *args.set]:
        words += ["--set", pair]
    run(words, folder / "log", Path.cwd(), {"CUDA_VISIBLE_DEVICES": ""})
    return RunFolder(folder / "runs" / f"s{seed}")


def lines(saved: SavedModel, split: Split) -> list[str]:
    """The rows as fastText reads them: what the model reads, parted by blanks."""
    numbers = saved.work.tokenizer.get_vocab()
    tokens = sorted(numbers, key=lambda token: numbers[token])
    rows = (split.ragged(TOKENS).row(number).tolist() for number in range(split.rows))
    return [" ".join(tokens[one] for one in row if tokens[one] not in LEFT_OUT) for row in rows]


def official(saved: SavedModel, train: Split, test: Split, seed: int, threads: int, folder: Path) -> dict[str, float]:
    """Accuracy and seconds of the official library at the same settings; it never shuffles, so the rows are."""
    import fasttext

    source = saved.recipe.embedding
    assert isinstance(source, FastTextClassifier)
    rows = list(zip(train.array("labels").tolist(), lines(saved, train), strict=True))
    path = folder / "train.txt"
    shuffled = random.Random(seed).sample(rows, len(rows))
    path.write_text("".join(f"__label__{saved.labels[label]} {line}\n" for label, line in shuffled), encoding="utf-8")
    shape = {"dim": source.dimension, "wordNgrams": source.word_ngrams, "bucket": source.buckets}
    subwords = {"minn": source.shortest_subword, "maxn": source.longest_subword}
    began = time.time()
    model = fasttext.train_supervised(str(path), lr=0.5, epoch=5, thread=threads, verbose=0, **shape, **subwords)
    seconds = time.time() - began
    predicted, _ = model.predict(lines(saved, test))
    right = [a[0] == f"__label__{saved.labels[n]}" for a, n in zip(predicted, test.array("labels"), strict=True)]
    return {"accuracy": float(np.mean(right)), "seconds": seconds}


def exported(saved: SavedModel, splits: list[Split], run_folder: Path, folder: Path) -> dict[str, float]:
    """How the official library's answers from the exported file differ from the model's, over 10,000 texts."""
    import fasttext

    output = folder / "exported.bin"
    output.unlink(missing_ok=True)
    words: list[str | Path] = [sys.executable, "-m", "launcher", "export", run_folder, "--format", "fasttext"]
    run([*words, "--output", output], folder / "export.log", Path.cwd(), {"CUDA_VISIBLE_DEVICES": ""})
    model = fasttext.load_model(str(output))
    asked = equal = 0
    worst = 0.0
    for split in splits:
        texts = lines(saved, split)[: ASKED - asked]
        labels, probabilities = model.predict(texts)
        ids = split.ragged(TOKENS)
        for start in range(0, len(texts), 500):
            rows = np.arange(start, min(start + 500, len(texts)))
            with torch.inference_mode():
                ours = saved.model(torch.from_numpy(ids.padded(rows, 0))).logits.softmax(-1).numpy()
            for row, mine in zip(rows.tolist(), ours, strict=True):
                equal += labels[row][0] == f"__label__{saved.labels[int(mine.argmax())]}"
                worst = max(worst, abs(float(probabilities[row][0]) - 1e-5 - float(mine.max())))
        asked += len(texts)
    return {"asked": asked, "equal": equal, "largest_difference": worst}


def main() -> None:
    args = arguments()
    facts = say_machine()
    figures: dict[str, list[dict[str, Any]]] = {"launcher": [], "official": [], "exported": []}
    with tempfile.TemporaryDirectory(prefix="classifier-") as scratch:
        folder = Path(scratch)
        for seed in range(args.seeds):
            made = trained(args, seed, folder)
            outcome, plan = read_json(made.outcome), read_json(made.plan)
            saved = load_saved_model(made.path / "model")
            train, test = (Split.load(Path(plan["prepared"]) / f"{name}.safetensors") for name in ("train", "test"))
            metrics = {"accuracy": outcome["metrics"]["test"]["accuracy"], "seconds": outcome["seconds"]["train"]}
            figures["launcher"].append(metrics)
            figures["official"].append(official(saved, train, test, seed, args.threads, folder))
            figures["exported"].append(exported(saved, [test, train], made.path, folder))
            say(f"seed {seed}: {', '.join(f'{name} {told[-1]}' for name, told in figures.items())}")
    say("")
    rows = []
    for name in ("launcher", "official"):
        scores, seconds = ([told[key] for told in figures[name]] for key in ("accuracy", "seconds"))
        deviation = f"{statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
        rows.append([name, str(len(scores)), f"{statistics.mean(scores):.4f}", deviation, spread(seconds, 1)])
    table(("what", "runs", "mean test accuracy", "deviation", "seconds of training"), rows)
    asked, equal = (sum(told[key] for told in figures["exported"]) for key in ("asked", "equal"))
    worst = max(told["largest_difference"] for told in figures["exported"])
    say(
        f"\nexported: the official library gives {equal:,} of {asked:,} texts the same label; probabilities {worst:.1g}"
    )
    save(args.json, facts, vars(args), figures)


if __name__ == "__main__":
    main()
