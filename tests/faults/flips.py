"""Single bits turned over and files cut short, in every file of a checkpoint and of a saved model.

    python tests/faults/flips.py [--flips 3000] [--cuts 300] [--commands 12] [--seed N]

Of each it is asked what would come of it: whether the run goes on from the checkpoint before (or the model is refused)
with the name of the file, or goes on with another step, another state, other answers, or ends in a traceback. Most are
asked in this process, by the functions that the commands call; `--commands` of them are typed. Exits 1 where one of
them was silent or a traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from proof import weights
from scene import SLOW, Scene

from launcher.errors import LauncherError
from launcher.runs.run_folder import RunFolder
from launcher.training.checkpoints.writer import Checkpoints
from launcher.training.distributed.world import World
from launcher.training.result.inference import predict
from launcher.training.result.model_folder import load_saved_model
from launcher.training.sealed_model import CARD

ALONE = World(0, 0, 1, torch.device("cpu"))
TEXTS = ["the room was clean and bright", "cold tea near a dirty station", "we were there for a night"]
METHODS = {"whole": "Full()", "adapter": "LoRA(rank=2)"}
SEEN, SILENT, HARMLESS, TRACEBACK = "seen", "silent", "harmless", "traceback"
OUTCOMES = (SEEN, SILENT, TRACEBACK, HARMLESS)


@dataclass
class Attack:
    """What became of all that was damaged, by the file."""

    seed: int
    dice: random.Random = field(init=False)
    told: dict[str, Counter[str]] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def note(self, where: str, what: str, harm: str, example: str = "") -> None:
        """Count one."""
        self.told.setdefault(where, Counter())[what] += 1
        self.told[where][harm] += 1
        if what in (SILENT, TRACEBACK):
            self.examples.setdefault(f"{where}: {what}", example[:200])

    def count(self, what: str) -> int:
        """Over all files."""
        return sum(counts[what] for counts in self.told.values())

    def harm(self, path: Path, harm: str) -> str:
        """Turn over one bit of the file, or cut it short; which."""
        content = path.read_bytes()
        at, bit = self.dice.randrange(len(content)), self.dice.randrange(8)
        if harm == "cut":
            path.write_bytes(content[:at])
            return f"cut to {at} bytes"
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
        return f"bit {bit} of byte {at}"

    @contextlib.contextmanager
    def harmed(self, path: Path, harm: str) -> Iterator[str]:
        """The same for a while."""
        content = path.read_bytes()
        yield self.harm(path, harm)
        path.write_bytes(content)

    def table(self) -> str:
        """As it is printed."""
        names = ("flip", "cut", *OUTCOMES)
        width = max(len(name) for name in self.told)
        lines = ["  ".join([f"{'file':<{width}}", *(f"{name:>9}" for name in names)])]
        rows = [*sorted(self.told.items()), ("all", sum(self.told.values(), Counter()))]
        lines += ["  ".join([f"{name:<{width}}", *(f"{counts[n]:>9}" for n in names)]) for name, counts in rows]
        return "\n".join([*lines, *(f"{where}: {example}" for where, example in self.examples.items())])


def attack_checkpoints(attack: Attack, run: RunFolder, harms: list[str]) -> None:
    """Each time the newest checkpoint is harmed: is it the one before that is gone on from, and is it said?"""
    newest, before = run.attempt(1).checkpoint_steps()[-1:-3:-1]
    names = sorted(path.name for path in run.attempt(1).checkpoint(newest).iterdir())
    whole = run.path / "whole"
    run.attempt(1).path.parent.rename(whole)
    for harm in harms:
        shutil.rmtree(whole.with_name("attempts"), ignore_errors=True)
        shutil.copytree(whole, whole.with_name("attempts"))
        name, said = attack.dice.choice(names), list[str]()
        where, what = f"checkpoint {name}", attack.harm(run.attempt(1).checkpoint(newest) / name, harm)
        try:
            manifest = Checkpoints(run, run.new_attempt().number, ALONE, 3, said.append).take_over()
            passed_over = manifest is not None and manifest["step"] == before and name in " ".join(said)
            attack.note(where, SEEN if passed_over else SILENT, harm, what)
        except Exception as error:
            attack.note(where, TRACEBACK, harm, f"{what}: {type(error).__name__}: {error}")


def sealed(model: Path) -> list[Path]:
    """Its files, but for the card: that is its owner's to change."""
    return sorted(path for path in model.rglob("*") if path.is_file() and path.name != CARD)


def attack_model(attack: Attack, run: RunFolder, harms: list[str], kind: str) -> None:
    """Each time a file of the model is harmed: is it refused by name, or does it answer as before?"""
    right = predict(load_saved_model(run.model), TEXTS)
    names = [path.relative_to(run.model).as_posix() for path in sealed(run.model)]
    for harm in harms:
        name = attack.dice.choice(names)
        with attack.harmed(run.model / name, harm) as what:
            where = f"{kind} {name}"
            try:
                same = predict(load_saved_model(run.model), TEXTS) == right
                attack.note(where, HARMLESS if same else SILENT, harm, what)
            except LauncherError as error:
                attack.note(where, SEEN, harm, str(error))
            except Exception as error:
                attack.note(where, TRACEBACK, harm, f"{what}: {type(error).__name__}: {error}")


def type_commands(attack: Attack, scene: Scene, number: int) -> None:
    """The same by the commands, for a few."""
    for _ in range(number // 2):
        model = scene.runs / attack.dice.choice(list(METHODS)) / "model"
        path = attack.dice.choice(sealed(model))
        with attack.harmed(path, "flip"):
            done = scene.launch("predict", model.parent.name, *TEXTS)
        told = done.stdout + done.stderr
        seen = done.returncode != 0 and path.name in told
        attack.note("launcher predict", TRACEBACK if "Traceback" in told else SEEN if seen else SILENT, "flip", told)
    for turn in range(number - number // 2):
        run = RunFolder(scene.copy("stopped", f"resumed-{turn}"))
        steps = run.attempts()[-1].checkpoint_steps()
        path = attack.dice.choice(sorted(run.attempts()[-1].checkpoint(steps[-1]).iterdir()))
        attack.harm(path, "flip")
        done = scene.launch("resume", run.name)
        told = done.stdout + done.stderr
        seen = (
            f"resumed at step {steps[-2]} " in told
            and path.name in told
            and weights(run.path) == weights(scene.runs / "whole")
        )
        attack.note("launcher resume", TRACEBACK if "Traceback" in told else SEEN if seen else SILENT, "flip", told)


def prepared_scene(folder: Path) -> Scene:
    """A finished run with a whole model, one with an adapter, and one that was stopped half way."""
    scene = Scene(folder, folder / "cache", rows=400, changes=SLOW)
    often = ("--set", "training.max_steps=60", "--set", "training.checkpoint_every=20")
    often += ("--set", "training.keep_checkpoints=3")
    scene.finish("whole", "--processes", "2", *often)
    text = scene.recipe.read_text(encoding="utf-8")
    scene.recipe.write_text(text.replace(METHODS["whole"], METHODS["adapter"]), encoding="utf-8")
    scene.finish("adapter", *often)
    scene.recipe.write_text(text, encoding="utf-8")
    stopped = RunFolder(scene.copy("whole", "stopped"))
    for path in (stopped.outcome, stopped.attempt(1).outcome, stopped.attempt(1).ending, stopped.evaluations):
        path.unlink()
    shutil.rmtree(stopped.model)
    return scene


def attacked(folder: Path, seed: int, flips: int, cuts: int, commands: int) -> Attack:
    """All of it; a third of the harm is done to a checkpoint, a third to each model."""
    attack, scene = Attack(seed), prepared_scene(folder)
    harms = ["flip"] * flips + ["cut"] * cuts
    attack.dice.shuffle(harms)
    attack_checkpoints(attack, RunFolder(scene.copy("stopped", "harmed")), harms[::3])
    for start, kind in enumerate(METHODS, 1):
        attack_model(attack, RunFolder(scene.runs / kind), harms[start::3], kind)
    type_commands(attack, scene, commands)
    return attack


def main() -> int:
    """See the module."""
    words: Any = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (
        ("flips", 3000),
        ("cuts", 300),
        ("commands", 12),
        ("seed", random.SystemRandom().getrandbits(32)),
    ):
        words.add_argument(f"--{name}", type=int, default=number)
    asked = words.parse_args()
    print(f"seed {asked.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        attack = attacked(Path(folder), asked.seed, asked.flips, asked.cuts, asked.commands)
    print(attack.table())
    print(f"{time.monotonic() - began:.0f} s; again with --seed {asked.seed}")
    return 1 if attack.count(SILENT) + attack.count(TRACEBACK) else 0


if __name__ == "__main__":
    sys.exit(main())
