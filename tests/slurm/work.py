"""A small recipe with its data, and the launcher called on a host of the lab."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab import Lab, wait_until

from launcher.runs.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
RECIPE = '''"""A recipe of the tests."""

from launcher import Full, LabelledFiles, MeanPooling, RandomVectors, Recipe, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=LabelledFiles(train={"good": "good.txt", "bad": "bad.txt"}),
    embedding=RandomVectors(dimension=16, encoder=MeanPooling(hidden=8)),
    peft=Full(),
    training=Training(batch_size=8, epochs=1, dropout=0.0, log_every=1),
)

if __name__ == "__main__":
    start(recipe)
'''
WORDS = ["fine", "warm", "bright", "kind", "dull", "cold", "rude", "slow", "the", "room", "was", "and", "we", "tea"]
ON_CPU = ("--device", "cpu", "--cpus-per-process", "1")
"""The lab's GPUs are none that CUDA knows, and its cores are fewer than it claims."""
DROPOUT = ("--set", "training.dropout=0.1")
LONG = ("--set", "training.epochs=20", *DROPOUT)
"""Long enough to be hit in the middle, with the brake of chaos.py on; with dropout, so that a lost random state would
show."""
STEPS = 420
"""Of the long run."""


def write_texts(folder: Path) -> None:
    """`good.txt` and `bad.txt`, the same ones every time."""
    dice = random.Random(7)
    for name in ("good", "bad"):
        lines = [" ".join(dice.choice(WORDS) for _ in range(dice.randint(4, 16))) for _ in range(100)]
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


class Work:
    """One test's working directory."""

    def __init__(self, lab: Lab, folder: Path, cache: Path):
        self.lab, self.folder, self.runs = lab, folder, folder / "runs"
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "RECIPE_LAUNCHER_CACHE": str(cache),
            "HF_HUB_OFFLINE": "1",
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        (folder / "tiny.py").write_text(RECIPE)
        write_texts(folder)

    def launch(self, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """`launcher WORDS` on the login host; it must end so."""
        command = [sys.executable, "-m", "launcher", *words]
        done = self.lab.run(*command, cwd=self.folder, check=False, **self.environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def submit(self, name: str, *words: object) -> int:
        """`launcher submit tiny.py --name NAME WORDS`; the job's number."""
        told = self.launch("submit", "tiny.py", "--name", name, "--json", *ON_CPU, *words)
        return int(json.loads(told.stdout)["job"])

    def end(self, name: str, job: int) -> dict[str, Any]:
        """The outcome, once the job is over."""
        self.lab.wait_for_job(job)
        return dict(json.loads((self.runs / name / "outcome.json").read_text()))

    def status(self, name: str) -> dict[str, Any]:
        """What `launcher status --json` says."""
        return dict(json.loads(self.launch("status", name, "--json").stdout))

    def wait_for_steps(self, name: str, count: int) -> int:
        """Return once so many steps are logged; how many they are."""
        wait_until(lambda: self._steps(name) >= count, f"step {count}")
        return self._steps(name)

    def _steps(self, name: str) -> int:
        path = self.runs / name / "events.jsonl"
        return path.read_bytes().count(b"\n") if path.is_file() else 0

    def log(self, name: str) -> str:
        """What the job printed."""
        return (self.runs / name / "slurm.log").read_text()

    def story(self, name: str) -> tuple[list[tuple[int, float]], str]:
        """What a run has come to: every step that counts with its loss, and the SHA-256 of the saved weights."""
        folder = self.runs / name
        steps = [(event["step"], event["loss"]) for event in RunFolder(folder).events_so_far()]
        return steps, hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()

    def losses(self, name: str) -> list[float]:
        """The loss of each step."""
        lines = (self.runs / name / "events.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]
