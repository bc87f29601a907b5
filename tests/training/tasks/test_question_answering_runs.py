"""Question answering as a run: the same curve everywhere, and from the file to the answer."""

import json

import pytest
from command_line import typed
from numbered import questions
from safetensors.numpy import load_file

import launcher
from launcher import DataError, predict
from launcher.launch.request import Request
from launcher.plan.placement import Placement
from launcher.runs.run_files import read_json
from launcher.training.report.data_view import inspect
from launcher.training.result.model_folder import load_saved_model

STEPS = 12
USUAL = {"max_steps": STEPS, "checkpoint_every": 6, "keep_checkpoints": 9, "evaluate_every": STEPS}


@pytest.mark.parametrize("model", ["questions", "spans"])
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_the_curve_does_not_hang_on_the_number_of_processes(warm, model, strategy):
    alone, both = (warm.finished(model, "Full", *where, **USUAL) for where in (("single", 1), (strategy, 2)))
    assert len(alone.losses) == len(both.losses) == STEPS == len(set(alone.losses))
    assert max(abs(a - b) for a, b in zip(alone.losses, both.losses, strict=True)) < 1e-5
    one, other = (run.outcome["metrics"]["test"] for run in (alone, both))
    assert one["loss"] == pytest.approx(other["loss"], abs=1e-5) and one["f1"] == pytest.approx(other["f1"], abs=0.06)
    prepared = read_json(alone.folder.plan)["prepared"]
    example = load_file(f"{prepared}/train.safetensors")["example"]
    assert len(example) > example[-1] + 1  # some contexts take several windows


def test_a_resumed_run_goes_on_bit_by_bit(warm):
    whole = warm.finished("questions", "Full", "ddp", 2, **USUAL)
    resumed = warm.resume(whole, 6, "ddp", 2)
    assert set(resumed.status.values()) == {0}, resumed.failures()
    later = {step: loss.hex() for step, loss in whole.steps.items() if step > 6}
    assert {step: loss.hex() for step, loss in resumed.steps.items() if step > 6} == later and len(later) == 6


@pytest.fixture(scope="module")
def learnt(warm, tmp_path_factory):
    """A run of static vectors on more rows, half of which is enough to learn what is asked for."""
    folder = tmp_path_factory.mktemp("questions")
    for name in ("train", "test"):
        rows = questions(500 if name == "train" else 120, name, longest=20)
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = warm.recipe("spans", "Full", max_steps=150, evaluate_every=75)
    sets = {"data.train": str(folder / "train.jsonl"), "data.test": str(folder / "test.jsonl")}
    sets["training.learning_rate"] = "1e-2"
    run = warm.carry_out(Request(path, sets, Placement(1, "single"), "questions", warm.folder / "runs"))
    assert set(run.status.values()) == {0}, run.failures()
    return run, folder


def test_a_run_learns_and_keeps_the_threshold_of_its_validation_split(learnt):
    run, folder = learnt
    metrics = run.outcome["metrics"]
    without = 1 - sum(bool(row["answers"]) for row in questions(120, "test", longest=20)) / 120
    assert metrics["test"]["f1"] > without + 0.3 and metrics["before"]["f1"] < without + 0.1
    assert metrics["test"]["no_answer_threshold"] == metrics["validation"]["no_answer_threshold"]
    assert metrics["validation"]["no_answer_threshold"] == metrics["validation"]["best_threshold"]
    assert metrics["test"]["best_f1"] >= metrics["test"]["f1"]
    saved = load_saved_model(run.folder.path / "model")
    assert saved.work.threshold == metrics["validation"]["no_answer_threshold"]
    assert saved.work.chosen["scored_as"] == metrics["test"]["scored_as"] == "squad"
    again = launcher.evaluate(str(run.folder.path))
    given = launcher.evaluate(str(run.folder.path), data=str(folder / "test.jsonl"))
    for told in (again, given):
        assert {name: told[name] for name in metrics["test"]} == pytest.approx(metrics["test"], abs=1e-6)
    figures = {path.name for path in (run.folder.path / "figures").iterdir()}
    assert {"test-f1-by-length.png", "test-precision-recall.png", "data-lengths.png"} <= figures


def test_predict_gives_the_answer_with_its_place(learnt):
    run, folder = learnt
    rows = [row for row in questions(120, "test", longest=20)]
    answers = predict(run.folder.path, [(row["question"], row["context"]) for row in rows], run.folder.path.parent)
    for row, answer in zip(rows, answers, strict=True):
        assert {"answer", "start", "end", "score", "probability", "answers"} == set(answer)
        if answer["answer"]:
            assert row["context"][answer["start"] : answer["end"]] == answer["answer"]
    right = [
        answer["answer"] == (row["answers"][0]["text"] if row["answers"] else "")
        for row, answer in zip(rows, answers, strict=True)
    ]
    assert sum(right) / len(right) == pytest.approx(run.outcome["metrics"]["test"]["exact_match"])
    with pytest.raises(DataError, match="the model takes pairs of texts"):
        predict(run.folder.path, ["word1"], run.folder.path.parent)
    command = ["predict", run.folder.name, "--runs", run.folder.path.parent]
    done = typed(*command, "word0", "word40 word12 word13 word41", "--top", 2)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "word0" and lines[1].startswith("  word12 word13 [7:20] (") and len(lines) == 3
    output = folder / "answers.jsonl"
    done = typed(*command, "--file", folder / "test.jsonl", "--output", output)
    assert done.returncode == 0, done.stderr
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["answer"] for row in written] == [answer["answer"] for answer in answers]
    assert written[0]["context"] == rows[0]["context"] and len(written[0]["predicted_answers"]) > 1


def test_data_is_shown_by_its_windows(warm, monkeypatch, learnt):
    from launcher.recipe.recipe import load

    run, _ = learnt
    recipe = (
        load(run.folder.recipe_source, run.plan["overrides"]).recipe if hasattr(run.folder, "recipe_source") else None
    )
    if recipe is None:
        from pathlib import Path

        recipe = load(Path(run.plan["recipe"]), run.plan["overrides"]).recipe
    view = inspect(recipe, 40, None)
    about = view["splits"]["test"]
    assert about["encoded"] > about["rows"] == 120 and sum(about["answers"].values()) == 120 and not view["balance"]
    shown = [example for example in view["examples"]["test"] if "window 2 of" in example["where"]]
    assert shown and all(any(token["label"] == "answer" for token in example["tokens"]) for example in shown)
    assert all(example["cut"]["tokens"] == 0 for example in view["examples"]["test"])
