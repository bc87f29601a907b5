"""A damaged checkpoint is said and passed over; the run goes on from the last good one to the same end."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from proof import assert_same, checkpoint_steps, checkpoints, litter
from scene import SLOW, Scene

from launcher.training.checkpoints.reader import inspect

Twin = Callable[[int], Path]
EVERY = ("--set", "training.checkpoint_every=25", "--set", "training.keep_checkpoints=3")


def flip_a_byte(checkpoint: Path) -> None:
    file = checkpoint / "rank-0.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def cut_short(checkpoint: Path) -> None:
    file = checkpoint / "rank-0.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def lose_a_file(checkpoint: Path) -> None:
    (checkpoint / "rank-0.safetensors").unlink()


def lose_the_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").unlink()


def break_the_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").write_text('{"format": 1, "step"')


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Scene:
    """A run that was stopped half way and holds several checkpoints."""
    scene = Scene(tmp_path_factory.mktemp("stopped"), cache, rows=1600, changes=SLOW)
    launched = scene.start("r", *EVERY)
    launched.wait_for_step(90)
    launched.signal(signal.SIGINT)
    assert launched.end() == 75, launched.output()
    assert len(checkpoint_steps(launched.path)) == 3
    return scene


@pytest.mark.parametrize("harm", [flip_a_byte, cut_short, lose_a_file, lose_the_manifest, break_the_manifest])
def test_every_damage_is_seen(stopped: Scene, harm: Callable[[Path], None]) -> None:
    checkpoint = checkpoints(stopped.copy("r", f"seen-{harm.__name__}"))[-1]
    assert not inspect(checkpoint)[1]
    harm(checkpoint)
    assert inspect(checkpoint)[1]


def test_the_newest_checkpoint_is_damaged(stopped: Scene, twin: Twin) -> None:
    run = stopped.copy("r", "newest")
    steps = checkpoint_steps(run)
    newest = checkpoints(run)[-1]
    flip_a_byte(newest)

    done = stopped.finish("newest", *EVERY, "--resume")
    assert f"checkpoint {newest.name} is damaged and passed over" in done.stdout
    assert f"resumed at step {steps[-2]} of" in done.stdout
    assert_same(run, twin(1))
    assert checkpoint_steps(run)
    assert not litter(run)


def test_every_checkpoint_is_damaged(stopped: Scene, twin: Twin) -> None:
    run = stopped.copy("r", "all")
    for checkpoint, harm in zip(checkpoints(run), (flip_a_byte, cut_short, lose_the_manifest), strict=True):
        harm(checkpoint)
    done = stopped.finish("all", *EVERY, "--resume")
    assert done.stdout.count("is damaged and passed over") == 3
    assert "resumed" not in done.stdout
    assert_same(run, twin(1))


def test_the_best_checkpoint_is_damaged(twin: Twin, tmp_path: Path, cache: Path) -> None:
    """Without the best weights the newest state is worth nothing: the run would end with wrong ones."""
    scene = Scene(tmp_path, cache, rows=1600, changes=SLOW)
    run = Path(shutil.copytree(twin(1), scene.runs / "best"))
    best = scene.outcome("best")["selected_step"]
    for path in (run / "outcome.json", run / "attempts/1/outcome.json", run / "model" / "model.safetensors"):
        path.unlink()
    flip_a_byte(run / f"attempts/1/checkpoints/step-{best:08d}")
    done = scene.finish("best", "--resume")
    assert "is damaged and passed over" in done.stdout
    assert_same(run, twin(1))
