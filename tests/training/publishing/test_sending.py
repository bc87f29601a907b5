"""What a tracker is told of a run: the lines of its files, in order, each once, whatever breaks in between."""

import json
import sys
from pathlib import Path

import pytest

from launcher.errors import PlanError, WorkerError
from launcher.json_files import write_json
from launcher.json_lines import append_line
from launcher.launch import tracking
from launcher.recipe.tracker import CustomTracker
from launcher.runs.feed import Feed
from launcher.runs.run_folder import RunFolder
from launcher.training.tracking.catching_up import catch_up
from launcher.training.tracking.sending import Sender

KEEPS = """import json, os

def track(event, file):
    if os.path.exists("broken"):
        raise ConnectionError("no network")
    with open(file, "a") as kept:
        kept.write(json.dumps(event) + "\\n")
"""
SECRET = "hf_" + "a1B2" * 9


def step(number, attempt=1, loss=0.5):
    rest = {"learning_rate": 0.1, "epoch": 0.25, "examples_per_second": 8.0, "attempt": attempt, "time": 1.0}
    return {"step": number, "loss": loss, **rest}


def evaluation(number, attempt=1):
    return {"step": number, "attempt": attempt, "accuracy": number / 100, "loss": None, "classes": {"a": 1}}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    folder = RunFolder(tmp_path / "runs" / "first")
    begin(folder, 1, None)
    plan = {
        "recipe": "/home/ada/reviews.py",
        "strategy": "ddp",
        "world_size": 2,
        "steps": 4,
        "versions": {"torch": "2"},
    }
    write_json(folder.plan, plan)
    values = {"training.seed": 3, "task.source": "text", "embedding.model": f"https://ada:{SECRET}@host/model"}
    write_json(folder.recipe, {"values": {name: {"value": value} for name, value in values.items()}})
    folder.tracking.mkdir()
    return folder


def begin(folder, number, continues):
    attempt = folder.attempt(number)
    attempt.path.mkdir(parents=True)
    write_json(attempt.origin, {"continues": continues})


def reported(folder, *lines):
    for line in lines:
        append_line(folder.events if "learning_rate" in line else folder.evaluations, line)


def ended(folder, attempt, status):
    metrics = {"validation": {"accuracy": 0.75}, "test": {"accuracy": 0.5, "loss": 1.5}, "before": None}
    write_json(folder.attempt(attempt).outcome, {"status": status, "steps": 4, "metrics": metrics})


def own(tmp_path, text=KEEPS):
    (tmp_path / "keeps.py").write_text(text)
    given = CustomTracker(file="keeps.py", options={"file": str(tmp_path / "told.jsonl")})
    return tracking.documents([given], tmp_path)[0]


def told(tmp_path):
    path = tmp_path / "told.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_file_of_ones_own_gets_the_lines_as_they_are(run, tmp_path):
    lines = [step(1), step(2), evaluation(2), step(3), step(4), evaluation(4)]
    reported(run, *lines)
    ended(run, 1, "finished")
    counts = catch_up(run, own(tmp_path))
    start, *events, end = told(tmp_path)
    kinds = ("step", "step", "evaluation", "step", "step", "evaluation")
    assert events == [{"run": "first", "kind": kind, **line} for kind, line in zip(kinds, lines, strict=True)]
    assert (start["kind"], start["config"]["plan"]["world_size"], start["config"]["versions"]) == (
        "start",
        2,
        {"torch": "2"},
    )
    assert start["config"]["recipe"] == {"training.seed": 3, "embedding.model": "https://(hidden)@host/model"}
    assert (end["kind"], end["status"], end["step"], end["metrics"]["test"]) == (
        *("end", "finished", 4),
        {"accuracy": 0.5, "loss": 1.5},
    )
    assert (counts["steps"], counts["evaluations"], counts["end"]) == (4, 2, 1)
    assert catch_up(run, own(tmp_path))["steps"] == 0 and len(told(tmp_path)) == 8


def test_a_run_that_goes_on_tells_each_step_once_and_none_that_does_not_count(run, tmp_path):
    reported(run, step(1), step(2), evaluation(2), step(3))
    ended(run, 1, "stopped")
    document = own(tmp_path)
    catch_up(run, document)
    reported(run, step(4), step(5))  # were not told, and do not count: the next attempt goes on from step 2
    begin(run, 2, {"attempt": 1, "step": 2})
    reported(run, step(3, 2), step(4, 2), evaluation(4, 2))
    ended(run, 2, "finished")
    catch_up(run, document)
    seen = [(event["kind"], event.get("step"), event.get("attempt")) for event in told(tmp_path)]
    assert seen[1:] == [
        *[("step", 1, 1), ("step", 2, 1), ("evaluation", 2, 1), ("step", 3, 1), ("end", 4, 1)],
        *[("step", 4, 2), ("evaluation", 4, 2), ("end", 4, 2)],
    ]
    assert [event["status"] for event in told(tmp_path) if event["kind"] == "end"] == ["stopped", "finished"]


def test_a_step_waits_for_the_evaluation_that_may_lie_before_it(run):
    feed = Feed(run, {"step": -1, "evaluation": -1})
    reported(run, step(1))
    look = feed.evaluations.look

    def meanwhile():
        reported(run, evaluation(1), step(2))
        seen = look()
        reported(run, evaluation(2), step(3))
        return seen

    feed.evaluations.look = meanwhile
    assert [(event["kind"], event["step"]) for event in feed.look()] == [("step", 1), ("evaluation", 1)]
    feed.evaluations.look = look
    assert [(event["kind"], event["step"]) for event in feed.look()] == [("step", 2), ("evaluation", 2), ("step", 3)]


def test_what_breaks_is_told_once_and_goes_on_where_it_was(run, tmp_path):
    reported(run, step(1), step(2))
    document, broken, warnings = own(tmp_path), tmp_path / "broken", []
    looks = iter([False, False, False, True])

    def ended(wait):
        if wait == 2.0:
            broken.unlink()  # the network comes back while the second try waits
        return next(looks)

    broken.touch()
    assert Sender(run, document, ended, warnings.append).run()
    assert warnings == ["keeps.py cannot be told: RecipeError: keeps.py: track broke: ConnectionError: no network"]
    assert [event.get("step") for event in told(tmp_path)] == [None, 1, 2]

    broken.touch()
    reported(run, step(3))
    with pytest.raises(WorkerError, match="no network"):
        catch_up(run, document)
    broken.unlink()
    catch_up(run, document)
    assert [event.get("step") for event in told(tmp_path)] == [None, 1, 2, 3]


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).with_name("stand_ins")))
    monkeypatch.setenv("STAND_IN", str(tmp_path / "said.jsonl"))
    yield lambda: [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    for name in ("wandb", "mlflow"):
        sys.modules.pop(name, None)


SAID = [
    {
        "log": {
            "train/loss": 0.5,
            "train/learning_rate": 0.1,
            "working speed/epoch": 0.25,
            **{"working speed/examples_per_second": 8.0},
        },
        "step": 2,
    },
    {"log": {"validation/accuracy": 0.02}, "step": 2},
]
RESULT = {"validation_accuracy": 0.75, "test_accuracy": 0.5, "test_loss": 1.5}


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_service_gets_the_numbers_and_keeps_the_run_when_it_goes_on(run, stand_ins, name):
    reported(run, step(2), evaluation(2))
    document = tracking.documents([name], Path())[0]
    catch_up(run, document)
    begin(run, 2, {"attempt": 1, "step": 2})
    ended(run, 2, "finished")
    catch_up(run, document)
    first, config, *events, finish, again, result, last = stand_ins()
    assert events == SAID and finish == last == {"finish": True}
    assert result == {"log": {f"weights chosen/{of}": value for of, value in RESULT.items()}, "step": 4}
    assert config["config"]["recipe.training.seed"] == 3 and config["config"]["plan.world_size"] == 2
    assert SECRET not in json.dumps(stand_ins()) and not any("source" in of for of in config["config"])
    if name == "wandb":
        assert first == again and first["init"]["id"] and first["init"]["resume"] == "allow"
        assert (first["init"]["project"], first["init"]["name"]) == ("reviews", "first")
    else:
        assert first == {"start": None, "experiment": "number of reviews", "name": "first"}
        assert again["start"] == "given"


def test_what_cannot_be_told_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "swanlab").mkdir()  # no package: a folder of that name, as it writes one
    (tmp_path / "other.py").write_text("def track(happened, more): pass\n")
    (tmp_path / "talks.py").write_text(f"TOKEN = '{SECRET}'\n\ndef track(event): pass\n")
    names = ["swanlab", "wandbb", "tensorboard", "other.py", "talks.py", "gone.py"]
    with pytest.raises(PlanError) as refused:
        tracking.documents(names, tmp_path)
    whats = [(problem.what.replace(str(tmp_path), "."), problem.do) for problem in refused.value.problems]
    assert whats[0] == ("swanlab is not installed here", "pip install swanlab")
    assert whats[1] == ("there is no tracker 'wandbb'", "did you mean 'wandb'?")
    assert whats[2] == ("TensorBoard's files are always written", "leave it out")
    assert whats[3][0] == "track in other.py needs the option 'more'"
    assert whats[4] == (
        "there is a password or a token in it, and the run's folder keeps a copy",
        "read it from os.environ in the file",
    )
    assert whats[5][0].startswith("there is no file") and len(whats) == 6
