"""A tracker's own process, while a run goes on: what it hears and when it ends; no training is needed for that."""

import json
import time

import pytest
from test_sending import begin, ended, evaluation, reported, step

from launcher.json_files import write_json
from launcher.json_lines import read_lines
from launcher.launch import tracking
from launcher.recipe.tracker import CustomTracker
from launcher.runs.run_folder import RunFolder

FILES = {
    "keeps.py": "import json\ndef track(event):\n    open('told.jsonl', 'a').write(json.dumps(event) + '\\n')\n",
    "hangs.py": "import time\ndef track(event):\n    open('hangs', 'w').close()\n    time.sleep(1000)\n",
    "raises.py": "def track(event):\n    raise ValueError('not today')\n",
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(tmp_path / "runs" / "first")
    begin(folder, 1, None)
    write_json(folder.plan, {"recipe": "/home/ada/reviews.py", "strategy": "ddp", "world_size": 2, "steps": 4})
    write_json(folder.recipe, {"values": {}})
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return folder


def wait_until(true, seconds=60):
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_what_hangs_or_breaks_ends_with_the_run_and_the_others_hear_all(run, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "SECONDS_TO_FINISH", 2.0)
    tracking.note(run, [CustomTracker(file=name) for name in FILES], tmp_path)
    heard = tmp_path / "told.jsonl"
    with tracking.told(run, lambda: None, lambda: 0):
        reported(run, step(1), step(2), evaluation(2))
        wait_until(lambda: heard.exists() and len(heard.read_text().splitlines()) == 4)  # while the run goes on
        wait_until((tmp_path / "hangs").exists)
        reported(run, step(3))
        ended(run, 1, "finished")
        over = time.monotonic()
    assert time.monotonic() - over < 2 + tracking.SECONDS_MORE
    kinds = [json.loads(line)["kind"] for line in heard.read_text().splitlines()]
    assert kinds == ["start", "step", "step", "evaluation", "step", "end"]
    notes = [line["note"] for line in read_lines(run.attempts()[-1].notes)]
    rest = f"was not told everything; the rest: launcher track {run.path} --tracker"
    assert notes == [
        "raises.py cannot be told: RecipeError: raises.py: track broke: ValueError: not today",
        f"hangs.py {rest} hangs.py",
        f"raises.py {rest} raises.py",
    ]
