"""What a run forgets that goes on to other classes, and what replay, EWC and LwF keep of it.

AG news (FOLDER/ag_news/alps): a run on World and Sports, then one that goes on from it to Business and Sci/Tech, by
static vectors of words. Both test splits are measured before and after. Beside the ways to go on stands one run on all
four classes. The weights of EWC and LwF are given; nothing is chosen on a test split. Example:

  python benchmarks/going_on.py --data DATA --seeds 1 2 3 --json going-on.json
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import run, save, say, say_machine, table

from launcher.runs.run_files import read_json

RECIPE = Path(__file__).parent.resolve() / "recipes" / "ag_static.py"
OLD, NEW = ("World", "Sports"), ("Business", "Sci/Tech")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--replay", nargs="*", default=["0.1"], metavar="PART")
    parser.add_argument("--ewc", nargs="*", default=["1e4"], metavar="WEIGHT")
    parser.add_argument("--lwf", nargs="*", default=["1"], metavar="WEIGHT")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def write(data: Path, folder: Path) -> None:
    """Train and test of the old classes, the new ones, and all."""
    parts = {"old": OLD, "new": NEW, "all": OLD + NEW}
    for source, name in (("dev", "train"), ("test", "test")):
        with (data / "ag_news" / "alps" / f"{source}.tsv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if len(row) == 2]
        for part, labels in parts.items():
            lines = [f"{text}\t{label}" for text, label in rows if label in labels]
            (folder / f"{part}-{name}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding="utf-8")


def outcome(args: argparse.Namespace, name: str, part: str, seed: int, folder: Path, *more: str) -> dict[str, Any]:
    """Of a run on these classes."""
    words: list[str | Path] = [sys.executable, "-m", "launcher", "run", RECIPE, "--name", name, *more]
    words += ["--runs", folder / "runs", "--device", "cpu"]
    files = [f"data.{split}={folder / f'{part}-{split}.tsv'}" for split in ("train", "test")]
    for pair in (f"training.seed={seed}", f"training.epochs={args.epochs}", *files):
        words += ["--set", pair]
    run(words, folder / "log", folder, {"CUDA_VISIBLE_DEVICES": ""})
    told: dict[str, Any] = read_json(folder / "runs" / name / "outcome.json")
    return told


def figures(told: dict[str, Any]) -> dict[str, float]:
    """Accuracy on the old classes after, what is forgotten of it, and accuracy on the new ones."""
    after = told["onward"]["test"]["after"]["accuracy"]
    return {"old": after, "forgotten": told["onward"]["forgotten"], "new": told["metrics"]["test"]["accuracy"]}


def of_all(told: dict[str, Any]) -> dict[str, float]:
    """Recall of the old and of the new classes in a run on all: their accuracy, weighed by their rows."""
    classes = told["metrics"]["test"]["classes"]
    parts = {"old": OLD, "new": NEW}
    rows = {part: sum(classes[label]["support"] for label in labels) for part, labels in parts.items()}
    right = {p: sum(classes[x]["recall"] * classes[x]["support"] for x in labels) for p, labels in parts.items()}
    return {part: right[part] / rows[part] for part in parts}


def main() -> None:
    args = arguments()
    facts = say_machine()
    ways = {"nothing": ()} | {
        f"{name} {v}": (name, v) for name in ("replay", "ewc", "lwf") for v in getattr(args, name)
    }
    found: dict[str, list[dict[str, float]]] = {
        name: [] for name in ("old classes alone", *ways, "all classes at once")
    }
    with tempfile.TemporaryDirectory(prefix="going-on-") as scratch:
        folder = Path(scratch)
        write(args.data, folder)
        for seed in args.seeds:
            first = outcome(args, f"old-{seed}", "old", seed, folder)
            found["old classes alone"].append({"old": first["metrics"]["test"]["accuracy"]})
            for way, setting in ways.items():
                more = ["--from", f"old-{seed}", *(["--set", "training.{}={}".format(*setting)] if setting else [])]
                found[way].append(figures(outcome(args, f"{way.replace(' ', '-')}-{seed}", "new", seed, folder, *more)))
            found["all classes at once"].append(of_all(outcome(args, f"all-{seed}", "all", seed, folder)))
            say(f"seed {seed}: " + ", ".join(f"{way} {values[-1]}" for way, values in found.items()))
    columns = ("old", "forgotten", "new")
    rows = [
        [way, *(_mean([each[name] for each in values if name in each]) for name in columns)]
        for way, values in found.items()
    ]
    table(("going on with", "old classes", "forgotten", "new classes"), rows)
    save(args.json, facts, vars(args), found)


def _mean(values: list[float]) -> str:
    if not values:
        return ""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.1f} ± {100 * error:.1f}"


if __name__ == "__main__":
    main()
