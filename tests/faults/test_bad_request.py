"""Requests that a finished, a dead or a foreign run folder cannot answer; none of them changes the folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from scene import Scene


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Scene:
    """A finished run `done`; `died`, the same without its outcome; `broken`, with a broken plan; `mine`, no run."""
    scene = Scene(tmp_path_factory.mktemp("home"), cache)
    scene.finish("done")
    (scene.copy("done", "died") / "attempts/1/outcome.json").unlink()
    shutil.rmtree(scene.runs / "died" / "model")
    (scene.copy("died", "broken") / "plan.json").write_text('{"recipe": ')
    (scene.copy("done", "odd") / "plan.json").write_text("{}")
    shutil.rmtree(scene.copy("done", "bare") / "model")
    (scene.runs / "mine").mkdir()
    (scene.runs / "mine" / "thesis.txt").write_text("three years of work")
    (scene.folder / "strange.csv").write_text("text,label\nfine warm room,good\nodd,strange\n")
    return scene


REQUESTS = {
    "run tiny.py --name done": (4, "there is a run 'done' already (finished)", "--resume", "--overwrite"),
    "run tiny.py --name mine": (4, "already", "choose another --name"),
    "run tiny.py --name mine --overwrite": (4, "is not a run and is not replaced"),
    "run tiny.py --name done --resume": (4, "run done is finished", "nothing left to resume"),
    "run tiny.py --name died --resume --set training.epochs=2": (4, "other values", "training.epochs is 2, was 1"),
    "predict died text": (4, "run died has no proven model", "resume it first"),
    "predict bare text": (4, "run bare has no proven model", "model/ was taken away: train it again"),
    "evaluate died": (4, "run died has no proven model", "resume it first"),
    "predict dnoe text": (4, "there is no run 'dnoe'", "did you mean 'done'?"),
    "predict done --file gone.txt": (2, "gone.txt"),
    "predict done --file runs": (2, "runs"),
    "predict done text --output no/such/place.jsonl": (2, "cannot be written", "place.jsonl"),
    "evaluate done --data gone.csv": (2, "gone.csv"),
    "evaluate done --data strange.csv": (2, "the label 'strange'", "strange.csv row 3"),
    "status broken": (4, "not valid JSON", "broken/plan.json"),
    "predict broken text": (4, "run broken has no proven model"),
    "status odd": (4, "plan.json is damaged: steps is missing"),
    "logs done --rank 1": (4, "rank 1 has no log"),
}


@pytest.mark.parametrize("words", REQUESTS, ids=lambda words: words.replace(" ", "_"))
def test_refused(home: Scene, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, *told = REQUESTS[words]
    before = state(home.runs)
    done = home.typed(monkeypatch, *words.split())
    assert done.returncode == code, done.stdout + done.stderr
    for part in told:
        assert part in done.stderr, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert state(home.runs) == before


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))}


def test_overwrite_replaces_a_run(home: Scene) -> None:
    home.copy("done", "old")
    (home.runs / "old" / "left.txt").write_text("of the run before")
    home.finish("old", "--overwrite")
    assert not (home.runs / "old" / "left.txt").exists()
    assert len(home.outcome("old")["metrics"]["test"]["classes"]) == 2


def test_a_loss_that_is_not_a_number_ends_the_run_with_advice(scene: Scene) -> None:
    wild = ("training.learning_rate=1e38", "training.clip_norm=null", "training.optimizer=sgd")
    done = scene.run("r", "--json", *(word for value in wild for word in ("--set", value)))
    assert done.returncode == 5, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["status"], told["error"]) == ("failed", "worker")
    assert "launcher: the loss is " in done.stderr
    assert "Traceback" not in done.stderr
    assert "lower training.learning_rate" in done.stderr
