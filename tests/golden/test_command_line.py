"""What the `launcher` command prints, word for word: help of every verb, and `show` of a small recipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import typed

HERE = Path(__file__).parent
VERBS = [
    "run",
    "plan",
    "submit",
    "cancel",
    "resume",
    "clean",
    "verify",
    "show",
    "data",
    "recipes",
    "recipes copy",
    "status",
    "list",
    "compare",
    "logs",
    "track",
    "tensorboard",
    "doctor",
    "help",
    "evaluate",
    "predict",
    "chat",
    "serve",
    "merge",
    "mine",
    "export",
    "push",
    "embeddings",
]


PLAIN = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def launcher(*words: str) -> str:
    environment = {**os.environ, **PLAIN, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "launcher", *words], capture_output=True, text=True, env=environment, cwd=HERE
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_help_reads_as_stored(golden: Callable[[str, str], None]) -> None:
    golden("help.txt", launcher("--help"))


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_reads_as_stored(
    golden: Callable[[str, str], None], verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    done = typed(*verb.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    golden(f"help-{verb.replace(' ', '-')}.txt", done.stdout)


def test_every_verb_has_its_help_stored() -> None:
    from typer.main import get_command

    from launcher.cli.app import app

    top = get_command(app).commands  # type: ignore[attr-defined]
    below = [f"{name} {verb}" for name, group in top.items() for verb in getattr(group, "commands", {})]
    assert sorted([*top, *below]) == sorted(VERBS)
    stored = {path.name for path in (HERE / "stored").glob("help*.txt")}
    assert stored == {"help.txt", *(f"help-{verb.replace(' ', '-')}.txt" for verb in VERBS)}


def test_show_reads_as_stored(golden: Callable[[str, str], None]) -> None:
    golden("show.txt", launcher("show", "small.py", "--set", "training.seed=7", "--set", "peft.targets=null"))


def test_show_as_json_reads_as_stored(golden: Callable[[str, str], None]) -> None:
    told = json.loads(launcher("show", "small.py", "--set", "training.seed=7", "--json"))
    golden("show.json", json.dumps(told, ensure_ascii=False, indent=1) + "\n")
