"""Words that training never saw: one vector for all of them, or that of each word's subwords from the trained table.

CoNLL-2003 (FOLDER/conll2003/eng.{train,testa}): the first --rows sentences to train on, fastText vectors trained on
them, a BiLSTM; once with `FastText()` and once with `FastText(subword_rows=True)`, over seeds. Nothing else differs.
Validation and test are halves of testa; entities with a word that training lacks are counted apart. Example:

  python benchmarks/unseen_words.py --data DATA --seeds 5 --json unseen.json
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from corpora import sentences
from measure import run, save, say, say_machine, table

from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

RECIPE = Path(__file__).parent.resolve() / "recipes" / "conll2003_fasttext.py"
SIDES = {"one vector": "false", "subwords": "true"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=4000, help="sentences to train on")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--method", default="Full", choices=("Full", "HeadOnly"), help="whether the table trains")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def write(data: Path, rows: int, folder: Path) -> float:
    """The three files; the share of the test words that training lacks."""
    train, held_out = sentences(data / "conll2003" / "eng.train")[:rows], sentences(data / "conll2003" / "eng.testa")
    parts = {"train": train, "validation": held_out[::2], "test": held_out[1::2]}
    words = {}
    for name, lines in parts.items():
        (folder / f"{name}.txt").write_text("\n\n".join(lines) + "\n\n", encoding="utf-8")
        words[name] = [line.split(" ")[0] for sentence in lines for line in sentence.split("\n")]
    known = set(words["train"])
    return sum(word not in known for word in words["test"]) / len(words["test"])


def f1(args: argparse.Namespace, side: str, seed: int, folder: Path) -> float:
    """Entity F1 on the test half."""
    name = f"{side.replace(' ', '-')}-{seed}"
    recipe = folder / "recipe.py"
    recipe.write_text(RECIPE.read_text(encoding="utf-8").replace("Full", args.method), encoding="utf-8")
    words: list[str | Path] = [sys.executable, "-m", "launcher", "run", recipe, "--name", name]
    words += ["--runs", folder / "runs"]
    for pair in (f"training.seed={seed}", f"embedding.subword_rows={SIDES[side]}"):
        words += ["--set", pair]
    run(words, folder / "log", folder, {"CUDA_VISIBLE_DEVICES": ""})
    metrics: dict[str, Any] = read_json(RunFolder(folder / "runs" / name).outcome)["metrics"]["test"]
    return float(metrics["entity_f1"])


def main() -> None:
    args = arguments()
    facts = say_machine()
    figures: dict[str, list[float]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory(prefix="unseen-") as scratch:
        folder = Path(scratch)
        share = write(args.data, args.rows, folder)
        say(f"{share:.1%} of the test words are not in the training split")
        for seed in range(args.seeds):
            for side, found in figures.items():
                found.append(f1(args, side, seed, folder))
            say(f"seed {seed}: " + ", ".join(f"{side} {found[-1]:.4f}" for side, found in figures.items()))
    gains = [other - one for one, other in zip(*figures.values(), strict=True)]
    rows = [[name, *_mean(found)] for name, found in [*figures.items(), ("gain, in pairs", gains)]]
    table(("what", "mean entity F1", "standard error"), rows)
    save(args.json, facts, vars(args), {**figures, "unseen": [share]})


def _mean(found: list[float]) -> list[str]:
    error = statistics.stdev(found) / len(found) ** 0.5 if len(found) > 1 else 0.0
    return [f"{statistics.mean(found):.4f}", f"{error:.4f}"]


if __name__ == "__main__":
    main()
