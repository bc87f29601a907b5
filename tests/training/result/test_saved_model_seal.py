"""A saved model is read only as it was saved: by whatever road, and wherever its folder was copied to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from launcher.errors import BackendError
from launcher.json_files import write_json
from launcher.recipe.source import Pretrained
from launcher.training.result.comparison import compare
from launcher.training.result.inference import evaluate, predict
from launcher.training.result.model_folder import load_saved_model
from launcher.training.sealed_model import card_state, checked
from launcher.training.sources import bases

TEXTS = ["word1 word2", "word3"]


@pytest.fixture(scope="module")
def finished(warm):
    """A run whose model has a base of its own."""
    return warm.finished("mean", "LoRA", "single", 1)


@pytest.fixture
def model(finished, tmp_path) -> Path:
    """A copy of its model's folder, somewhere else."""
    return Path(shutil.copytree(finished.folder.model, tmp_path / "copied"))


def refused(folder: Path, name: str) -> None:
    for road in (
        lambda: predict(load_saved_model(folder), TEXTS),
        lambda: evaluate(load_saved_model(folder), None),
        lambda: compare(Path(folder), [folder]),
        lambda: load_saved_model(folder),
    ):
        with pytest.raises(BackendError, match="the saved model is damaged: ") as told:
            road()
        assert name in told.value.problems[0].what and str(folder) in str(told.value)


def test_a_copy_answers_as_the_original(model, finished):
    assert predict(load_saved_model(model), TEXTS) == predict(load_saved_model(finished.folder.model), TEXTS)
    seal = json.loads((model / "seal.json").read_text())["files"]
    files = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert seal.keys() == files - {"seal.json"} and "base/model.safetensors" in seal
    assert finished.outcome["proof"]["files"] == seal


def test_each_file_is_asked_for(model):
    for path in [path for path in sorted(model.rglob("*")) if path.is_file() and path.name != "README.md"]:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 64]))
        refused(model, path.name)
        path.unlink()
        refused(model, path.name)
        path.write_bytes(content)
    assert predict(load_saved_model(model), TEXTS)


@pytest.mark.parametrize("name", ["model.safetensors.index.json", "base/pytorch_model.bin", "vocab.txt"])
def test_what_a_library_would_read_besides_is_refused(model, name):
    (model / name).write_text("{}")
    refused(model, name)


def test_what_no_library_reads_may_lie_there(model):
    (model / ".gitattributes").touch()
    (model / ".git").mkdir()
    (model / ".git" / "config").touch()
    (model / "NOTES.md").touch()
    assert predict(load_saved_model(model), TEXTS)


def test_the_card_is_its_owners(model, finished, tmp_path):
    seal = checked(model)
    assert card_state(model, seal) == "as written"
    (model / "README.md").write_text("# mine", encoding="utf-8")
    for name in ("figure.png", "LICENSE", "LICENSE.txt"):
        (model / name).touch()
    before = predict(load_saved_model(finished.folder.model), TEXTS)
    assert predict(load_saved_model(model), TEXTS) == before and card_state(model, checked(model)) == "edited"
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "run"))
    (run / "model" / "README.md").write_text("# mine", encoding="utf-8")
    assert predict(load_saved_model(run / "model"), TEXTS) == before  # as much as a copy's
    (model / "README.md").unlink()
    assert predict(load_saved_model(model), TEXTS) == before and card_state(model, checked(model)) == "missing"


def test_what_to_do_with_a_file_that_was_put_there(model):
    (model / "LICENSE.json").touch()
    with pytest.raises(BackendError) as told:
        checked(model)
    (problem,) = told.value.problems
    assert problem.what == "the saved model is damaged: LICENSE.json was not saved with it"
    assert problem.do == "take it out of the folder"


def test_a_folder_in_the_place_of_one_that_was_saved_is_refused(model, tmp_path):
    (model / "base").rename(tmp_path / "elsewhere")
    (model / "base").symlink_to(tmp_path / "elsewhere")
    refused(model, "base")


def test_a_model_of_before_there_were_seals_is_held_against_its_runs_outcome(finished, tmp_path):
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "old"))
    before = predict(load_saved_model(run / "model"), TEXTS)
    (run / "model" / "seal.json").unlink()
    refused(run / "model", "seal.json is missing")
    about = run / "model" / "launcher.json"
    write_json(about, {**json.loads(about.read_text()), "format": 1})
    outcome = json.loads((run / "outcome.json").read_text())
    from launcher.runs.seals import digest

    outcome["proof"]["files"]["launcher.json"] = digest(about)
    write_json(run / "outcome.json", outcome)
    assert predict(load_saved_model(run / "model"), TEXTS) == before
    weights = run / "model" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\\x00")
    refused(run / "model", "adapter_model.safetensors")
    (run / "outcome.json").unlink()
    refused(run / "model", "outcome.json is missing")


def test_a_copy_that_somebody_changed_is_built_on_and_said_a_runs_own_is_refused(finished, model, tmp_path, capfd):
    config = model / "adapter_config.json"
    bases.of_model(Pretrained(model=str(model)))
    assert capfd.readouterr().err == ""
    config.write_text(config.read_text(encoding="utf-8") + " ", encoding="utf-8")
    (told,) = bases.of_model(Pretrained(model=str(model))).values()
    assert told["files"]["adapter_config.json"]["bytes"] == config.stat().st_size
    changed = "adapter_config.json is not as it was written"
    assert capfd.readouterr().err == f"note: {model} is not as a run saved it: {changed}; it is taken as it is\n"
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "run"))
    shutil.rmtree(run / "model")
    shutil.copytree(model, run / "model")
    with pytest.raises(BackendError, match=f"the saved model is damaged: {changed}"):
        bases.of_model(Pretrained(model=str(run / "model")))
