"""A recipe whose ranks stand still where they are told to: stopped, spinning or asleep, in any part of a run."""

from __future__ import annotations

import json
from pathlib import Path

from scene import Scene

STALLS = """import json, os, pathlib, signal, time

SERVER_SECONDS = 20  # so long the ranks still have something to do

def perhaps(place):
    # Stand still if the file `stalls` says so: its first entry is the first attempt's, and so on.
    attempt = int(pathlib.Path(os.readlink("/proc/self/fd/1")).parent.name)
    stalls = json.loads(pathlib.Path("stalls").read_text()) if pathlib.Path("stalls").exists() else []
    rank, where, kind = stalls[attempt - 1] if attempt <= len(stalls) else (None, "", "")
    if (rank, where) != (int(os.environ["RANK"]), place):
        return
    pathlib.Path(f"stalled-{attempt}").touch()
    if kind == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    if kind == "server stopped":
        os.kill(os.getppid(), signal.SIGSTOP)
        time.sleep(SERVER_SECONDS)
    if kind == "launcher stopped":
        stat = pathlib.Path(f"/proc/{os.getppid()}/stat").read_text()
        os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGSTOP)
    while kind == "spinning":
        pass
    while kind == "sleeping":
        time.sleep(1000)


def before(owner, name, place, when=lambda *_: True):
    original = getattr(owner, name)
    def patched(*words, **more):
        if when(*words):
            perhaps(place)
        return original(*words, **more)
    setattr(owner, name, patched)


if "RANK" in os.environ:
    from launcher.training import loop, rank
    from launcher.training.checkpoints import writer
    from launcher.training.result import result
    perhaps("importing")
    before(rank, "initial_model", "loading")
    before(loop.Loop, "_step", "training", lambda self, batch: self.state.step == 12)
    before(rank, "evaluate", "evaluating", lambda *_: AT() == "evaluating")
    before(rank, "evaluate", "testing", lambda *_: AT() == "testing")
    before(writer.Checkpoints, "save", "saving")
    before(writer, "save_file", "writing")
    before(result, "gather", "rehearsing", lambda *_: AT() == "rehearsing")
    before(result, "gather", "proving", lambda *_: AT() == "saving")


def AT():
    from launcher.runs import pulse
    return pulse._mine.section

"""
"""Above a recipe."""
PLACES = (*("importing", "loading", "rehearsing", "training", "evaluating", "saving", "writing", "testing", "proving"),)
SECTION = {"importing": "starting", "loading": "starting", "writing": "saving", "proving": "saving"}
"""In which section of a run a place lies that is not called as it."""
KINDS = ("stopped", "spinning", "sleeping", "server stopped", "launcher stopped")


def scene_of_stalls(folder: Path, cache: Path) -> Scene:
    """A folder with that recipe: 21 steps, an evaluation and a checkpoint every 7."""
    scene = Scene(folder, cache, changes={"log_every=1": "log_every=1, evaluate_every=7, checkpoint_every=7"})
    scene.recipe.write_text(STALLS + scene.recipe.read_text())
    return scene


def stall(scene: Scene, stalls: list[tuple[int, str, str]]) -> None:
    """Have a rank stand still in each of the first attempts: `(rank, place, kind)`."""
    (scene.folder / "stalls").write_text(json.dumps(stalls))
