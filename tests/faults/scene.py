"""A folder with tiny data and a tiny recipe, and the launcher as real processes in it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NO_NODE = object()
"""Stands where ranks would be forked from: whoever asks it for anything has gone too far."""
PATIENCE = 180.0
"""Seconds that anything may take on a slow and busy machine."""
STEPS = 240

RECIPE = """from launcher import (
    BiLSTM, Columns, FastText, Full, LabelledFiles, LoRA, MeanPooling, NgramBag, Pretrained, RandomVectors, Recipe,
    Table, TaggedWords, TextClassification, TokenClassification, Training, start,
)

recipe = Recipe(
    task=TextClassification(),
    data=LabelledFiles(train={"good": "good.txt", "bad": "bad.txt"}),
    embedding=RandomVectors(dimension=16, encoder=MeanPooling(hidden=8)),
    peft=Full(),
    training=Training(batch_size=8, epochs=1, dropout=0.1, log_every=1),
)

if __name__ == "__main__":
    start(recipe)
"""

BRAKE = """import os, pathlib, time

if "RANK" in os.environ:
    from launcher.training.loop import Loop

    step = Loop._step
    def slowed(self, batch):
        time.sleep(0.03 if pathlib.Path("brake").exists() else 0)
        return step(self, batch)
    Loop._step = slowed

"""
"""While this file is there a rank is slow enough to be hit in the middle, however slow the one who hits is."""

SLOW = {
    "from launcher": f"{BRAKE}from launcher",
    "RandomVectors(dimension=16, encoder=MeanPooling(hidden=8))": (
        "RandomVectors(dimension=32, encoder=BiLSTM(hidden=16))"
    ),
    "epochs=1": f"epochs=2, max_steps={STEPS}",
}
"""Changes to the recipe that make it long enough to be hit in the middle."""

GOOD = ["fine", "warm", "bright", "kind", "quick", "clean", "fresh", "calm"]
BAD = ["dull", "cold", "rude", "slow", "dirty", "stale", "loud", "grey"]
BOTH = ["the", "room", "was", "and", "we", "were", "there", "for", "a", "night", "with", "tea", "near", "station"]


def write_texts(folder: Path, rows: int) -> None:
    """`good.txt` and `bad.txt`, half the rows each, the same ones every time."""
    dice = random.Random(7)
    for name, words in (("good", GOOD), ("bad", BAD)):
        lines = [
            " ".join(dice.choice(words if dice.random() < 0.25 else BOTH) for _ in range(dice.randint(4, 16)))
            for _ in range(rows // 2)
        ]
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


class Scene:
    """One test's folder. The recipe names its data by relative paths, so its numbers are the same in any folder."""

    def __init__(self, folder: Path, cache: Path, rows: int = 200, changes: dict[str, str] | None = None):
        self.folder, self.runs = folder, folder / "runs"
        self.environment = {
            **{key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")},
            "RECIPE_LAUNCHER_CACHE": str(cache),
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        self.door = ("-m", "launcher")
        """What python is given to start the launcher."""
        self.started_by: tuple[str, ...] = ()
        """Words before python, e.g. `nohup`."""
        write_texts(folder, rows)
        self.recipe = self.write_recipe(changes or {})

    def write_recipe(self, changes: dict[str, str], name: str = "tiny.py") -> Path:
        """The recipe with parts of its text exchanged."""
        text = RECIPE
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def launch(self, *words: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`launcher WORDS`, to its end."""
        return self.carry_out(sys.executable, *self.door, *words, environment=environment)

    def typed(self, patch: Any, *words: object) -> subprocess.CompletedProcess[str]:
        """`launcher WORDS` in this process, for what ends before any rank: nothing is imported for it again."""
        from command_line import typed  # which pytest finds, and a script of `make chaos` does not

        patch.chdir(self.folder)
        patch.setenv("RECIPE_LAUNCHER_CACHE", self.environment["RECIPE_LAUNCHER_CACHE"])
        return typed(*words, node=NO_NODE)

    def carry_out(self, *words: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Any command in the folder, to its end."""
        return subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def start(self, name: str, *words: object) -> Launched:
        """`launcher run tiny.py --name NAME WORDS`, not waited for and with the brake on."""
        (self.folder / "brake").touch()
        return Launched(self, name, words)

    def run(self, name: str, *words: object) -> subprocess.CompletedProcess[str]:
        """`launcher run tiny.py --name NAME WORDS`, to its end and without the brake."""
        (self.folder / "brake").unlink(missing_ok=True)
        return self.launch("run", self.recipe.name, "--name", name, *words)

    def finish(self, name: str, *words: object) -> subprocess.CompletedProcess[str]:
        """The same, and it must succeed."""
        done = self.run(name, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert self.outcome(name)["status"] == "finished"
        return done

    def status(self, name: str) -> dict[str, Any]:
        """What `launcher status --json` says."""
        told = self.launch("status", name, "--json")
        assert told.returncode == 0, told.stderr
        return dict(json.loads(told.stdout))

    def outcome(self, name: str) -> dict[str, Any]:
        """The run's outcome.json."""
        return dict(json.loads((self.runs / name / "outcome.json").read_text()))

    def copy(self, name: str, to: str) -> Path:
        """A copy of a run's folder under another name."""
        return Path(shutil.copytree(self.runs / name, self.runs / to))


class Launched:
    """A `launcher run` that is under way."""

    def __init__(self, scene: Scene, name: str, words: tuple[object, ...]):
        self.path, self.told, self.complained = (
            scene.runs / name,
            scene.folder / f"{name}.stdout",
            scene.folder / f"{name}.stderr",
        )
        command = [
            *scene.started_by,
            sys.executable,
            *scene.door,
            "run",
            scene.recipe.name,
            "--name",
            name,
            *map(str, words),
        ]
        with self.told.open("w") as stdout, self.complained.open("w") as stderr:
            self.process = subprocess.Popen(
                command, cwd=scene.folder, env=scene.environment, stdout=stdout, stderr=stderr, start_new_session=True
            )

    def wait_for_step(self, step: int) -> None:
        """Return once that step's line is in events.jsonl."""
        wait_until(lambda: lines_in(self.path / "events.jsonl") >= step or self.ended(), f"step {step}", pause=0.002)
        assert not self.ended(), f"ended before step {step}:\n{self.output()}"

    def signal(self, number: int) -> None:
        """Send a signal to the launcher process alone."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the launcher; its exit code."""
        return self.process.wait(PATIENCE)

    def ended(self) -> bool:
        """Whether the launcher process is gone."""
        return self.process.poll() is not None

    def output(self) -> str:
        """Both streams so far."""
        return self.told.read_text() + self.complained.read_text()

    def nursery(self) -> int:
        """The process id of the nursery; not of its spare copy, once ranks show which is which."""
        ranks = self.ranks().values()
        children = [pid for pid in processes_of(self.path, self.process.pid) if parent_of(pid) == self.process.pid]
        return next((parent_of(pid) for pid in ranks if parent_of(pid) in children), min(children))

    def ranks(self) -> dict[int, int]:
        """Process ids of the ranks, by rank: who holds which rank's log open as standard output."""
        logs = {}
        for pid in processes_of(self.path, self.process.pid):
            target = _link(Path(f"/proc/{pid}/fd/1"))
            if target.endswith(".log") and "/attempts/" in target:
                logs[int(Path(target).stem.removeprefix("rank-"))] = pid
        return logs

    def left_over(self) -> list[int]:
        """Processes of this run that live, the launcher itself apart."""
        return [pid for pid in processes_of(self.path, self.process.pid) if pid != self.process.pid]

    def kill_everything(self) -> None:
        """For a test that failed half way."""
        for pid in [self.process.pid, *self.left_over()]:
            if not (pid == self.process.pid and self.ended()):
                os.kill(pid, 9)
        self.process.wait(PATIENCE)


def wait_until(true: Callable[[], Any], what: str, seconds: float = PATIENCE, pause: float = 0.02) -> None:
    """Return when `true` says so; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(pause)


def lines_in(path: Path) -> int:
    """Whole lines of a file that may not be there yet."""
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def processes_of(run: Path, launcher: int) -> list[int]:
    """Living processes that hold a file of the run open, or are the nursery (or its ranks) of that launcher."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
            links = [_link(link) for link in (folder / "fd").iterdir()]
        except OSError:
            continue
        ours = b"launcher.worker.fork_server" in command and str(launcher).encode() in command
        if state != "Z" and (ours or any(link.startswith(f"{run}/") for link in links)):
            found.append(int(folder.name))
    return found


def parent_of(pid: int) -> int:
    """The parent's process id."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
