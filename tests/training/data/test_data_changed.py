"""Files that were edited after a run began: it is told, and nothing is measured or trained on other rows by mistake."""

from pathlib import Path

import pytest

from launcher.errors import BackendError, DataError
from launcher.json_files import write_json
from launcher.launch import opening, run_request
from launcher.launch.request import Request
from launcher.plan.placement import Placement
from launcher.recipe.recipe import load
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.training.initial_model import initial_model
from launcher.training.prepare import prepare
from launcher.training.result import model_folder
from launcher.training.result.inference import evaluate

RECIPE = """from launcher import *

recipe = Recipe(
    task=TextClassification(),
    data=Table(train={train!r}, test={test!r}, validation_size=8),
    embedding=RandomVectors(dimension=8, tokens="words", encoder=MeanPooling(hidden=8)),
    peft=Full(),
    training=Training(epochs=1),
)
"""


@pytest.fixture
def recipe(cache, tmp_path, monkeypatch):
    """A recipe over files of its own, which may be edited."""
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))
    for name in ("train", "test"):
        rows = [f"word{n} word{n + 1}\t{'even' if n % 2 == 0 else 'odd'}\n" for n in range(40)]
        (tmp_path / f"{name}.tsv").write_text("text\tlabel\n" + "".join(rows))
    path = tmp_path / "small.py"
    path.write_text(RECIPE.format(train=str(tmp_path / "train.tsv"), test=str(tmp_path / "test.tsv")))
    return path


def edit(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text(path.read_text().replace("text\tlabel\n", "text\tlabel\nnew words\tthird\nnew words too\teven\n"))


def test_evaluate_refuses_another_test_split_and_takes_a_file(recipe, tmp_path):
    made = load(recipe).recipe
    told = prepare(made)
    folder, prepared = tmp_path / "model", Path(told["folder"])
    model = initial_model(made, told["labels"], prepared)
    model_folder.save_model(model, made, told["labels"], prepared, told["max_length"], folder)
    before = evaluate(model_folder.load_saved_model(folder), None)
    assert before == evaluate(model_folder.load_saved_model(folder), str(tmp_path / "test.tsv"))

    edit(tmp_path)
    with pytest.raises(DataError, match="the data has changed since the run") as refused:
        evaluate(model_folder.load_saved_model(folder), None)
    assert "--data FILE" in str(refused.value)
    assert evaluate(model_folder.load_saved_model(folder), str(tmp_path / "test.tsv")) == before


def test_resume_refuses_other_data(recipe, tmp_path):
    request = Request(recipe, {}, Placement(strategy="single"), "r", tmp_path / "runs", resume=True)
    folder, loaded = RunFolder(tmp_path / "runs" / "r"), load(recipe)
    plan = run_request.make_plan(request, loaded)
    opening.open_folder(folder, request, loaded, plan)
    assert read_json(folder.plan)["data"] == plan.data != ""
    again = run_request.make_plan(request, loaded)
    opening._refuse_other_data(folder, again)

    edit(tmp_path)
    other = run_request.make_plan(request, loaded)
    with pytest.raises(BackendError, match="the data has changed since run r began"):
        opening.open_folder(folder, request, loaded, other)
    assert read_json(folder.plan)["data"] == plan.data, "what was promised stays"
    write_json(folder.plan, {name: value for name, value in plan.document().items() if name != "data"})
    opening._refuse_other_data(folder, other)  # of a version that did not write it down
