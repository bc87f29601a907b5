"""A disk that is full: said at once, nothing whole is lost, nothing half-written stays, and the run can go on.

The run folder lies on a small tmpfs; mounting one takes root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from proof import assert_same, checkpoint_steps, litter
from scene import SLOW, Launched, Scene, lines_in, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")

WIDE = {
    **SLOW,
    "from launcher": f"from launcher.runs import room\nroom.SECONDS = 4\n{SLOW['from launcher']}",
    "RandomVectors(dimension=16, encoder=MeanPooling(hidden=8))": (
        "RandomVectors(dimension=32, encoder=MeanPooling(hidden=2048))"
    ),
}
"""About 0.5 MiB of weights, 1.6 MiB a checkpoint."""
Disk = Callable[[str], None]


@pytest.fixture
def wide(tmp_path: Path, cache: Path) -> Scene:
    scene = Scene(tmp_path, cache, rows=1600, changes=WIDE)
    scene.door = ("-c", "from launcher.runs import room; room.SECONDS = 4; from launcher.api import main; main()")
    return scene


@pytest.fixture(scope="module")
def wide_twin(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The same on two processes, left in peace."""
    home = Scene(tmp_path_factory.mktemp("wide"), cache, rows=1600, changes=WIDE)
    home.finish("twin", "--processes", 2)
    return home.runs / "twin"


@pytest.fixture
def disk(wide: Scene) -> Iterator[Disk]:
    """`disk("4m")` puts `runs/` on a disk of that size, or gives it that size."""
    wide.runs.mkdir()

    def resize(size: str) -> None:
        options = f"size={size},remount" if os.path.ismount(wide.runs) else f"size={size}"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "runs", wide.runs], capture_output=True, text=True
        )
        if done.returncode != 0:
            pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")

    yield resize
    subprocess.run(["umount", "-l", wide.runs], check=True)


@pytest.fixture
def start(wide: Scene) -> Iterator[Callable[..., Launched]]:
    begun: list[Launched] = []

    def begin(*words: object) -> Launched:
        begun.append(wide.start("r", *words))
        return begun[-1]

    yield begin
    for launched in begun:
        launched.kill_everything()


def fill(folder: Path) -> Path:
    """Write until nothing fits any more."""
    path = folder / "somebody-elses.bin"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return path


def free(folder: Path) -> int:
    told = os.statvfs(folder)
    return told.f_bavail * told.f_frsize


def test_a_checkpoint_that_does_not_fit_is_said_and_the_run_goes_on(
    wide: Scene, disk: Disk, start: Callable[..., Launched], wide_twin: Path
) -> None:
    disk("4m")  # two checkpoints fit, the third does not
    often = ("--set", "training.checkpoint_every=20")
    launched = start("--processes", 2, *often)
    wait_until(lambda: "could not be written" in launched.output() or launched.ended(), "a full disk")
    launched.wait_for_step(lines_in(launched.path / "events.jsonl") + 5)  # it goes on
    launched.signal(signal.SIGINT)

    assert launched.end() == 75, launched.output()
    assert "Traceback" not in launched.output()
    assert "older ones stay" in launched.output()
    assert launched.left_over() == []
    assert checkpoint_steps(launched.path) == [20, 40]
    assert not litter(launched.path)
    assert wide.outcome("r")["status"] == "stopped"

    disk("32m")
    done = wide.finish("r", "--processes", 2, *often, "--resume")
    assert "resumed at step 40" in done.stdout
    assert_same(launched.path, wide_twin)
    assert not litter(launched.path)


def test_a_run_ends_well_although_its_checkpoints_did_not_fit(wide: Scene, disk: Disk) -> None:
    disk("3200k")  # one checkpoint and the rest fit, two checkpoints alone do not
    done = wide.run("r", "--set", "training.evaluate_every=1000000", "--set", "training.checkpoint_every=150")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the checkpoint of step 240 could not be written" in done.stdout
    assert "the last checkpoint is not on disk" in done.stdout
    assert checkpoint_steps(wide.runs / "r") == [150]
    assert not litter(wide.runs / "r")


def test_a_model_that_does_not_fit_fails_the_run_and_can_be_saved_later(wide: Scene, disk: Disk) -> None:
    disk("2m")  # one checkpoint fits, the model beside it does not
    sets = ("--set", "training.evaluate_every=240", "--set", "training.checkpoint_every=240")
    failed = wide.run("r", "--processes", 2, *sets)
    run = wide.runs / "r"
    assert failed.returncode == 5, failed.stdout + failed.stderr
    assert failed.stderr.startswith("launcher: the model could not be saved: ")
    assert "No space left on device" in failed.stderr
    assert f"where: {run}/attempts/1/model" in failed.stderr
    assert "make room and resume" in failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr
    assert wide.status("r")["status"] == "failed"
    assert checkpoint_steps(run) == [240]
    assert not (run / "model").exists()
    assert not litter(run)

    disk("32m")
    wide.finish("r", "--processes", 2, *sets, "--resume")
    assert lines_in(run / "events.jsonl") == 240  # no step was done twice
    assert wide.outcome("r")["proof"]["largest_logit_difference"] == 0
    assert not litter(run)


def test_a_disk_that_somebody_else_fills_ends_the_run_with_a_clear_error(
    wide: Scene, disk: Disk, start: Callable[..., Launched], wide_twin: Path
) -> None:
    disk("16m")
    often = ("--set", "training.checkpoint_every=20")
    launched = start("--processes", 2, *often)
    launched.wait_for_step(50)
    filler = fill(wide.runs)
    assert free(wide.runs) == 0

    code = launched.end()
    assert "Traceback" not in launched.output()
    assert launched.left_over() == []
    if code == 0:
        pytest.fail("the run ended before the disk was full: make it longer")
    assert code == 5, launched.output()
    assert os.strerror(errno.ENOSPC) in launched.complained.read_text() or "disk is full" in launched.output()
    assert "make room" in launched.output()
    assert wide.status("r")["status"] in ("failed", "died")
    assert checkpoint_steps(launched.path)

    again = wide.run("r", "--processes", 2, *often, "--resume")  # still full
    assert again.returncode == 4, again.stdout + again.stderr
    assert "cannot be written" in again.stderr and "make room" in again.stderr
    assert "Traceback" not in again.stdout + again.stderr

    filler.unlink()
    wide.finish("r", "--processes", 2, *often, "--resume")
    assert_same(launched.path, wide_twin)
    assert not litter(launched.path)


def test_a_disk_that_is_full_for_a_moment_is_waited_for(
    wide: Scene, disk: Disk, start: Callable[..., Launched], wide_twin: Path
) -> None:
    disk("16m")
    launched = start("--processes", 2, "--set", "training.checkpoint_every=20", "--hang-seconds", 2)
    for step in (50, 150):
        launched.wait_for_step(step)
        filler = fill(wide.runs)
        assert free(wide.runs) == 0
        time.sleep(3)
        filler.unlink()
    assert launched.end() == 0, launched.output()
    assert "Traceback" not in launched.output()
    assert_same(launched.path, wide_twin)
    assert not litter(launched.path)
