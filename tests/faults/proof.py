"""What a run must be after a fault: the same numbers as if nothing had happened, and nothing left lying about."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from launcher.training.checkpoints.reader import inspect

Line = tuple[str, str, str]


def curve(run: Path) -> list[tuple[int, Line]]:
    """Every line of events.jsonl, also of steps that were done twice: step, and exact loss, norm and rate."""
    told = []
    for line in (run / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        exact = tuple(float(event[name]).hex() for name in ("loss", "gradient_norm", "learning_rate"))
        told.append((event["step"], (exact[0], exact[1], exact[2])))
    return told


def weights(run: Path) -> str:
    """SHA-256 of the saved model's weights."""
    return hashlib.sha256((run / "model" / "model.safetensors").read_bytes()).hexdigest()


def assert_same(run: Path, twin: Path) -> None:
    """Every loss of `run` and its final weights are, bit by bit, those of the uninterrupted `twin`."""
    expected = dict(curve(twin))
    done = curve(run)
    wrong = [(step, told, expected[step]) for step, told in done if told != expected[step]]
    assert not wrong, f"{len(wrong)} of {len(done)} lines differ, first {wrong[0]}"
    assert {step for step, _ in done} == set(expected)
    assert weights(run) == weights(twin)
    ours, theirs = (json.loads((path / "outcome.json").read_text()) for path in (run, twin))
    assert ours["metrics"] == theirs["metrics"]
    assert ours["steps"] == theirs["steps"]


def checkpoints(run: Path) -> list[Path]:
    """Folders of the committed checkpoints of all attempts, in order of their steps."""
    return sorted(run.glob("attempts/*/checkpoints/step-*"), key=lambda path: path.name)


def checkpoint_steps(run: Path) -> list[int]:
    """Steps of the committed checkpoints; each must be whole."""
    steps = []
    for path in checkpoints(run):
        manifest, damage = inspect(path)
        assert manifest is not None and not damage, f"{path.name}: {damage}"
        assert manifest["step"] == int(path.name.removeprefix("step-"))
        steps.append(manifest["step"])
    return steps


def litter(run: Path) -> list[str]:
    """Unfinished files that a run left behind."""
    unfinished = [path for path in run.rglob("*") if path.name.startswith(".") or path.name.endswith(".tmp")]
    kept = [path for path in unfinished if not path.name.endswith(".pulse.tmp")]  # a killed rank's last breath, tiny
    return sorted(str(path.relative_to(run)) for path in kept)
