"""A run that begins with the model of another one: what is kept, what is new, what is said and written down."""

import json
from pathlib import Path

import pytest
import torch
from command_line import typed
from numbered import sentences
from safetensors.torch import load_file

from launcher.errors import LauncherError
from launcher.launch.request import Request
from launcher.launch.run_request import gates, make_plan
from launcher.plan.placement import Placement
from launcher.runs.run_files import read_json
from launcher.training.initial_model import initial_model

USUAL = {"max_steps": 6, "evaluate_every": 6}
SINGLE = Placement(1, "single")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Other texts with one label of the first data and a new one, and words that it lacks."""
    path = tmp_path_factory.mktemp("fresh") / "fresh.tsv"
    rows = (
        f"{' '.join(words)} fresh{len(words) % 3}\t{'good' if len(words) % 2 else 'odd'}"
        for words in sentences(120, 21)
    )
    path.write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    return path


def asked(warm, before, model, method="Full", **sets):
    """A request for a run that goes on from `before`."""
    sets = {
        "training.from_run": str(before.folder.path),
        **{name.replace("__", "."): value for name, value in sets.items()},
    }
    if model in ("bert",):
        sets["training.learning_rate"] = "2e-3"
    return Request(warm.recipe(model, method, **USUAL), sets, SINGLE, None, warm.folder / "runs")


def begun(request):
    """The model before its training, and the facts of its data."""
    loaded = gates(request)
    plan = make_plan(request, loaded)
    facts = read_json(Path(plan.prepared) / "facts.json")
    return initial_model(loaded.recipe, facts["labels"], Path(plan.prepared)), facts


def rows_of_head(model):
    named = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return next(value for name, value in named.items() if "classifier." in name and name.endswith("weight"))


@pytest.mark.parametrize(("model", "method"), [("mean", "Full"), ("bert", "Full"), ("bert", "LoRA")])
def test_labels_keep_their_rows_and_new_ones_come_behind(warm, fresh, model, method):
    before = warm.finished(model, method, **USUAL)
    request = asked(warm, before, model, method, data__train=str(fresh))
    now, facts = begun(request)
    assert facts["labels"] == ["bad", "good", "odd"]
    then = load_file(before.folder.model / ("adapter_model.safetensors" if method == "LoRA" else "model.safetensors"))
    head = next(value for name, value in then.items() if name.endswith("classifier.weight"))
    assert rows_of_head(now).shape[0] == 3 and torch.equal(rows_of_head(now)[:2].detach(), head)
    assert not torch.equal(rows_of_head(now)[2].detach(), head[1]) and rows_of_head(now)[2].abs().sum() > 0
    if method == "LoRA":
        name = next(name for name in then if "lora_B" in name)
        mine = dict(now.named_parameters())[name.replace("lora_B.weight", "lora_B.default.weight")]
        assert torch.equal(mine.detach(), then[name]) and then[name].abs().sum() > 0
    else:
        name = "embeddings.weight" if model == "mean" else "bert.embeddings.word_embeddings.weight"
        table = dict(now.named_parameters())[name].detach()
        assert torch.equal(table[: len(then[name])], then[name])
        assert len(table) == len(then[name]) + (3 if model == "mean" else 0)
    assert (
        facts["onward"]["lines"][0]
        == f"begins with the model of run {before.folder.name}, its head and labels kept; new labels: odd"
    )


def test_a_run_that_went_on_tells_of_the_one_before(warm, fresh):
    before = warm.finished("bert", "LoRA", **USUAL)
    after = warm.carry_out(asked(warm, before, "bert", "LoRA", data__train=str(fresh), training__replay="0.1"))
    assert set(after.status.values()) == {0}, after.failures()
    outcome, then = after.outcome, before.outcome["metrics"]["test"]
    (line,) = outcome["lineage"]
    assert (line["run"], line["task"], line["steps"]) == (before.folder.name, "TextClassification", 6)
    assert line["test"] == then["accuracy"] and line["data"] == before.plan["data"]
    about = outcome["onward"]
    assert about["labels"] == {"kept": ["bad", "good"], "new": ["odd"]} and about["replayed"] == 16
    assert about["test"]["before"]["examples"] == about["test"]["after"]["examples"] == then["examples"]
    assert about["forgotten"] == then["accuracy"] - about["test"]["after"]["accuracy"]
    told = typed("show", after.folder.path)
    values = json.loads(typed("show", after.folder.path, "--json").stdout)["values"]
    origins = {name: about["origin"] for name, about in values.items()}
    assert (origins["training.from_run"], origins["data.train"], origins["training.replay"]) == (
        *("--from", "--set", "--set"),
    )
    assert f"begins with run {before.folder.name} (TextClassification, 6 steps, test accuracy" in told.stdout
    assert json.loads(typed("show", after.folder.path, "--json").stdout)["lineage"] == outcome["lineage"]
    assert typed("predict", after.folder.path, "word1 word2").returncode == 0


def continued(warm, half, model, method, place, **sets):
    sets = {"training.from_run": str(half.folder.path), "training.with_optimiser": "true", **sets}
    sets |= {"training.learning_rate": "2e-3"} if model == "bert" else {}
    recipe = warm.recipe(model, method, max_steps=None, schedule="cosine")
    run = warm.carry_out(Request(recipe, sets, place, None, warm.folder / "runs"))
    assert set(run.status.values()) == {0}, run.failures()
    return run


@pytest.mark.parametrize(
    ("model", "method", "name"), [("mean", "Full", "ddp"), ("bert", "LoRA", "fsdp2"), ("mean", "Full", "zero3")]
)
def test_it_is_continued_under_another_strategy(warm, model, method, name):
    usual = {"max_steps": None, "schedule": "cosine"}
    whole = warm.finished(model, method, epochs=2, **usual)
    half = warm.finished(model, method, epochs=1, schedule_epochs=2, **usual)
    more = continued(warm, half, model, method, Placement(2, name), **{"training.epochs": "2"})
    assert more.steps.keys() == set(range(HALF + 1, STEPS + 1))
    assert max(abs(loss - whole.steps[step]) for step, loss in more.steps.items()) < 1e-5


def test_a_run_that_goes_on_is_resumed_to_the_bit(warm, fresh):
    """What EWC and LwF remember is not in its checkpoints: it is found anew, of the run that it began with."""
    before = warm.finished("mean", "Full", **USUAL)
    sets = {name: str(value) for name, value in {"ewc": 100, "lwf": 1, "replay": 0.2, "dropout": 0.3}.items()}
    sets = {f"training.{name}": value for name, value in sets.items()} | {"data.train": str(fresh)}
    sets["training.from_run"] = str(before.folder.path)
    recipe = warm.recipe("mean", "Full", **{**USUAL, "checkpoint_every": 2})
    whole = warm.carry_out(Request(recipe, sets, SINGLE, None, warm.folder / "runs"))
    assert set(whole.status.values()) == {0}, whole.failures()
    again = warm.resume(whole, 2, "single", 1)
    assert set(again.status.values()) == {0}, again.failures()
    assert len(again.losses) == 6 and again.losses == whole.losses
    one, other = (load_file(run.folder.model / "model.safetensors") for run in (whole, again))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert again.outcome["lineage"] == whole.outcome["lineage"] and again.outcome["onward"] == whole.outcome["onward"]


STEPS, HALF = 22, 11
"""Of two epochs of the small data in batches of 16; of one."""


@pytest.mark.parametrize(("model", "method", "dropout"), [("mean", "Full", 0.3), ("bert", "LoRA", 0.1)])
def test_a_finished_run_is_continued_as_if_it_had_never_ended(warm, model, method, dropout):
    usual = {"max_steps": None, "dropout": dropout, "schedule": "cosine"}
    whole = warm.finished(model, method, epochs=2, **usual)
    half = warm.finished(model, method, epochs=1, schedule_epochs=2, **usual)
    assert len(whole.losses) == STEPS and half.losses == whole.losses[:HALF]
    sets = {"training.from_run": str(half.folder.path), "training.with_optimiser": "true", "training.epochs": "2"}
    sets |= {"training.dropout": str(dropout)} | ({"training.learning_rate": "2e-3"} if model == "bert" else {})
    recipe = warm.recipe(model, method, max_steps=None, schedule="cosine")
    more = warm.carry_out(Request(recipe, sets, SINGLE, None, warm.folder / "runs"))
    assert set(more.status.values()) == {0}, more.failures()
    assert more.steps == {step: loss for step, loss in whole.steps.items() if step > HALF}
    name = "adapter_model.safetensors" if method == "LoRA" else "model.safetensors"
    one, other = (load_file(run.folder.model / name) for run in (whole, more))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    assert more.outcome["metrics"]["test"] == whole.outcome["metrics"]["test"]
    with pytest.raises(LauncherError, match="has made its 11 steps, and this recipe makes 11 in all"):
        warm.carry_out(Request(recipe, {**sets, "training.epochs": "1"}, SINGLE, None, warm.folder / "runs"))
    with pytest.raises(LauncherError, match=r"training\.batch_size is 8, and was 16 in run"):
        gates(Request(recipe, {**sets, "training.batch_size": "8"}, SINGLE, None, warm.folder / "runs"))
