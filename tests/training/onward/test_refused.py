"""Runs that cannot be gone on from: one sentence each, several at once, before anything is written."""

import json
import shutil

import pytest

from launcher.errors import LauncherError
from launcher.json_files import write_json
from launcher.launch.request import Request
from launcher.launch.run_request import find_folder, gates, make_plan
from launcher.plan.placement import Placement
from launcher.runs.run_files import read_json

USUAL = {"max_steps": 6, "evaluate_every": 6}


@pytest.fixture
def told(warm, tmp_path):
    """What is said of going on from a copy of a run that was changed."""

    def refusal(change, model="mean", method="Full", before="", **sets):
        run = warm.finished(model, method, **USUAL)
        copy = tmp_path / "before"
        shutil.copytree(run.folder.path, copy)
        change(copy)
        sets = {"training.from_run": str(copy), **{name.replace("__", "."): value for name, value in sets.items()}}
        request = Request(warm.recipe(model, before or method, **USUAL), sets, Placement(1, "single"))
        there = {path.name for path in (warm.folder / "runs").iterdir()}
        with pytest.raises(LauncherError) as error:
            make_plan(request, gates(request))
        assert {path.name for path in (warm.folder / "runs").iterdir()} == there
        return str(error.value)

    return refusal


def unfinished(run):
    path = run / "attempts" / "1" / "outcome.json"
    write_json(path, {**read_json(path), "status": "stopped"})


def flipped(run):
    path = run / "model" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def newer(run):
    path = run / "model" / "launcher.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 3}))


def as_it_was(run):
    pass


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (shutil.rmtree, "there is no run"),
        (unfinished, "run before has no proven model (status: stopped)"),
        (flipped, "the saved model is damaged: model.safetensors is not as it was written"),
        (newer, "was saved by a newer version of the launcher (format 3)"),
        (lambda run: shutil.rmtree(run / "model"), "run before has no proven model (status: finished)"),
    ],
)
def test_a_run_that_cannot_be_read(told, change, sentence):
    assert sentence in told(change)


def test_a_run_does_not_replace_the_one_that_it_begins_with(warm):
    before = warm.finished("mean", "Full", **USUAL)
    sets = {"training.from_run": str(before.folder.path)}
    names = (before.folder.name, warm.folder / "runs")
    request = Request(warm.recipe("mean", "Full", **USUAL), sets, Placement(1, "single"), *names, overwrite=True)
    with pytest.raises(LauncherError, match=r"begins with the model of run .*, which it would replace"):
        find_folder(request, gates(request))
    assert (before.folder.model / "model.safetensors").is_file()


def test_another_body_is_told_with_whatever_else_is_wrong(told):
    text = told(as_it_was, embedding__dimension="12", training__with_optimiser="true", training__batch_size="0")
    assert "the source of run before is another one: dimension is 12, was 24" in text
    assert "--set training.batch_size=0" in text
    assert "run before is built on RandomVectors(…), and this recipe on Pretrained(…)" not in text


def test_another_method_cannot_take_adapters(told):
    text = told(as_it_was, method="LoRA", before="Adapter")
    assert (
        "run before trained LoRA beside its base, and goes on with the same alone: kind is 'Adapter', was 'LoRA'"
        in text
    )
    assert "launcher merge" in text


def test_labels_that_differ_in_their_spelling_alone(told, tmp_path):
    rows = [f"word{number % 50} word{number % 7}\t{'Good' if number % 2 else 'odd'}" for number in range(100)]
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    text = told(as_it_was, data__train=str(tmp_path / "rows.tsv"))
    assert "the label 'Good' is spelt 'good' in run before" in text


def test_rows_of_before_that_are_gone(told, tmp_path, data):
    rows = [f"word{number % 50} word{number % 7}\t{'good' if number % 2 else 'odd'}" for number in range(100)]
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")

    def without_its_data(run):
        path = run / "model" / "launcher.json"
        about = json.loads(path.read_text())
        about["data"] = "0" * 64
        write_json(path, about)
        (run / "model" / "seal.json").unlink()
        (run / "outcome.json").unlink()  # a copy that people change on purpose

    text = told(without_its_data, data__train=str(tmp_path / "rows.tsv"), training__replay="0.1")
    assert "training.replay needs the rows of run before: its data has changed since" in text


def test_a_base_that_is_another_one(told, warm, tmp_path):
    def with_another_base(run):
        path = run / "model" / "seal.json"
        from launcher.runs.seals import read_sealed, write_sealed

        seal = read_sealed(path)
        (base,) = (files for name, files in seal["base"].items() if "bert" in name)
        base["files"]["config.json"]["sha256"] = "0" * 64
        write_sealed(path, seal)

    assert "the base is another one than this model was trained on" in told(with_another_base, "bert", "LoRA")
