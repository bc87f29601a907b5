"""A run that begins with the body of a run of another task: all of the body is kept, and the head is new."""

import json
from pathlib import Path

import pytest
import torch
from command_line import typed
from safetensors.torch import load_file

from launcher.errors import LauncherError
from launcher.json_files import write_json
from launcher.launch.request import Request
from launcher.launch.run_request import gates, make_plan
from launcher.plan.placement import Placement
from launcher.runs.run_files import read_json
from launcher.training.initial_model import initial_model

USUAL = {"max_steps": 6, "evaluate_every": 6}
BODIES = {"bert": "bert.", "search": "bert.", "apart": ("embeddings.", "encoder."), "mean": ("embeddings.", "encoder.")}
PAIRS = [
    ("bert", "related"),
    ("bert", "paths_bert"),
    ("bert", "search"),
    ("bert", "questions"),
    ("bert", "alike"),
    ("search", "bert"),
    ("apart", "placed"),
    ("mean", "several"),
    ("mean", "numbers"),
]


def asked(warm, run, model):
    sets = {"training.from_run": str(run.folder.path)} | ({"training.learning_rate": "2e-3"} if "e" in model else {})
    return Request(warm.recipe(model, "Full", **USUAL), sets, Placement(1, "single"), None, warm.folder / "runs")


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_body_is_kept_and_the_head_is_new(warm, before, after):
    run = warm.finished(before, "Full", **USUAL)
    request = asked(warm, run, after)
    loaded = gates(request)
    plan = make_plan(request, loaded)
    facts = read_json(Path(plan.prepared) / "facts.json")
    now = initial_model(loaded.recipe, facts["labels"], Path(plan.prepared)).state_dict()
    then = load_file(run.folder.model / "model.safetensors")
    body = {name: value for name, value in now.items() if name.startswith(BODIES[before]) and name in then}
    assert body and all(torch.equal(value, then[name]) for name, value in body.items())
    assert len(body) == len([n for n in then if n.startswith(BODIES[before]) and ("pooler" not in n or n in now)])
    head = [name for name in now if "classifier.weight" in name or "qa_outputs.weight" in name]
    assert len(head) == (after != "search")
    for name in head:
        assert name not in then or then[name].shape != now[name].shape or not torch.equal(now[name], then[name])
    assert "is new" in facts["onward"]["lines"][0]


def test_a_model_of_vectors_of_texts_goes_on_from_a_classifier(warm):
    """Its configuration said that it has one label for each text, which a model with one output refuses to load."""
    run = warm.carry_out(asked(warm, warm.finished("bert", "Full", **USUAL), "search"))
    assert set(run.status.values()) == {0}, run.failures()
    assert read_json(run.folder.model / "config.json").get("problem_type") is None
    values = json.loads(typed("show", run.folder.path, "--json").stdout)["values"]
    assert values["embedding.model"]["origin"] == values["training.from_run"]["origin"] == "--from"
    assert values["embedding.model"]["value"] == f"run:{values['training.from_run']['value']}"
    assert f"(follows from --from {values['training.from_run']['value']})" in typed("show", run.folder.path).stdout
    log = (run.folder.attempts()[-1].path / "rank-0.log").read_text()
    assert "the head is the checkpoint's" not in log and "the head begins anew" not in log


def test_a_head_of_the_same_labels_is_new_where_the_task_is_another(warm):
    """Both have one row for what they call the label; the line says that the head is new, and so it is."""
    before = warm.finished("reranked", "Full", **USUAL)
    request = asked(warm, before, "alike")
    loaded = gates(request)
    plan = make_plan(request, loaded)
    now = initial_model(loaded.recipe, ["label"], Path(plan.prepared)).state_dict()
    then = load_file(before.folder.model / "model.safetensors")
    assert then["classifier.weight"].shape == now["classifier.weight"].shape
    assert not torch.equal(then["classifier.weight"], now["classifier.weight"])


def test_what_is_forgotten_of_an_error_is_how_much_it_rose(warm, tmp_path):
    before = warm.finished("focal", "Full", **USUAL)
    rows = [f"word{number % 50} word{number % 7}\t{'good' if number % 3 else 'odd'}" for number in range(100)]
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    request = asked(warm, before, "focal")
    request.overrides["data.train"] = str(tmp_path / "rows.tsv")
    request.overrides["training.select_by"] = "errors"
    run = warm.carry_out(request)
    assert set(run.status.values()) == {0}, run.failures()
    about = run.outcome["onward"]
    assert about["metric"] == "errors"
    assert about["forgotten"] == about["test"]["after"]["errors"] - about["test"]["recorded"]["errors"]


def test_a_run_on_a_drawn_model_is_not_taken_for_one_on_a_pretrained_model(warm, tmp_path):
    """`model` of the recipe would be replaced without a word."""
    before = warm.finished("bert", "Full", **USUAL)
    path = before.folder.model / "launcher.json"
    copy = tmp_path / "copied"
    copy.mkdir()
    for file in before.folder.model.iterdir():
        if file.name != "seal.json":
            (copy / file.name).write_bytes(file.read_bytes())
    about = read_json(path)
    about["recipe"]["embedding"] = {"kind": "FromConfig", "config": {"model_type": "bert"}, "tokenizer": None}
    write_json(copy / "launcher.json", about)
    sets = {"training.from_run": str(copy)}
    request = Request(warm.recipe("bert", "Full", **USUAL), sets, Placement(1, "single"), None, warm.folder / "runs")
    with pytest.raises(LauncherError, match=r"is built on FromConfig\(…\), and this recipe on "):
        gates(request)
