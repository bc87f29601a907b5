"""Each task beside a plain transformers loop: the same losses, and metrics as the official scripts define them.

    python benchmarks/tasks.py --data FOLDER [--tasks sentiment pairs ...]

For each task `launcher run` trains a slice (`task_slices.py`), dropout off, and `tasks_peer.py` makes the same steps
from the same weights over the same rows with the library's own model and loss. Then `launcher predict` answers the
test rows, and `official.py` scores these answers by definitions of its own; of language models the perplexity of the
saved model is computed row by row from the library's logits (`language_slices.py`).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import language_slices
from measure import run, save, say, say_machine, table
from official import SCORES as OF_ANSWERS
from task_slices import SLICES as OTHERS

from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.training.sources.reference import source_folder

SLICES = OTHERS | language_slices.SLICES
SCORES = OF_ANSWERS | language_slices.SCORES
HERE = Path(__file__).parent.resolve()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets (see task_slices.py)")
    parser.add_argument("--tasks", nargs="+", choices=sorted(SLICES), default=list(SLICES), help="those alone")
    parser.add_argument("--steps", type=int, default=50, help="whose losses are compared; some tasks go on from there")
    parser.add_argument("--json", type=Path, help="where raw figures go")
    return parser.parse_args()


def compared(task: str, data: Path, folder: Path, steps: int) -> dict[str, Any]:
    """Both curves, and both scores of the same answers."""
    slice_ = SLICES[task]
    compared, steps = steps, max(steps, slice_.steps)
    folder.mkdir(parents=True)
    slice_.write(data, folder)
    recipe = folder / "recipe.py"
    recipe.write_text(slice_.recipe(steps), encoding="utf-8")
    environment = {
        "RECIPE_LAUNCHER_CACHE": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    launcher = [sys.executable, "-m", "launcher"]
    run([*launcher, "run", recipe, "--device", "cpu", "--name", "run"], folder / "run.log", folder, environment)
    ended = RunFolder(folder / "runs" / "run")
    ours = [event["loss"] for event in ended.events_so_far() if "loss" in event][:steps]
    options = {
        "task": task,
        "recipe": recipe,
        "prepared": read_json(ended.plan)["prepared"],
        "model": folder / slice_.model if (folder / slice_.model).is_dir() else source_folder(slice_.model),
        "json": folder / "peer.json",
    }
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    run([sys.executable, HERE / "tasks_peer.py", *words], folder / "peer.log", folder, environment)
    theirs = json.loads((folder / "peer.json").read_text())
    if len(ours) != steps or len(theirs) != steps:
        sys.exit(f"{task}: {len(ours)} and {len(theirs)} losses of {steps} steps; see {folder}")
    answers = _answers(folder, launcher, environment) if slice_.asked else []
    return {
        "losses": ours,
        "peer": theirs,
        "compared": compared,
        "metrics": read_json(ended.outcome)["metrics"]["test"],
        "official": SCORES[task](folder, answers),
    }


def _answers(folder: Path, launcher: list[str], environment: dict[str, str]) -> list[dict[str, Any]]:
    """Of `predict` for the test rows."""
    predict = ["predict", "run", "--file", _test_of(folder), "--output", "answers.jsonl"]
    run([*launcher, *map(str, predict)], folder / "predict.log", folder, environment)
    return [json.loads(line) for line in (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()]


def _test_of(folder: Path) -> Path:
    """What `predict` reads."""
    return next(path for path in (folder / "texts.jsonl", folder / "test.jsonl") if path.exists())


def row(task: str, figures: dict[str, Any]) -> list[str]:
    """Of the table that is printed."""
    pairs = list(zip(figures["losses"], figures["peer"], strict=True))[: figures["compared"]]
    apart = max(abs(one - other) for one, other in pairs)
    scores = [f"{name} {figures['metrics'][name]:.6f} / {value:.6f}" for name, value in figures["official"].items()]
    return [task, f"{figures['losses'][0]:.4f} to {figures['losses'][-1]:.4f}", f"{apart:.1e}", ", ".join(scores)]


def main() -> None:
    args = arguments()
    facts, figures = say_machine(), {}
    with tempfile.TemporaryDirectory() as scratch:
        for task in args.tasks:
            say(f"{task} ...")
            figures[task] = compared(task, args.data.resolve(), Path(scratch) / task, args.steps)
    header = ("task", "loss", "largest difference", "metric: launcher / official definition")
    table(header, (row(task, values) for task, values in figures.items()))
    save(args.json, facts, vars(args), figures)


if __name__ == "__main__":
    main()
