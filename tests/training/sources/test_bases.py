"""A saved adapter and a run that goes on find the base again that they began with, or it is told that it is another."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.errors import BackendError, DataError, RecipeError, WorkerError
from launcher.launch import opening, run_request
from launcher.launch.request import Request
from launcher.plan.placement import Placement
from launcher.recipe.recipe import load
from launcher.runs.run_folder import RunFolder
from launcher.training.initial_model import initial_model
from launcher.training.prepare import prepare
from launcher.training.result import model_folder
from launcher.training.result.inference import predict
from launcher.training.result.model_folder import load_saved_model
from launcher.training.sources import bases, safe_folder

RECIPE = """from launcher import *

recipe = Recipe(
    task=TextClassification(), data=Table(train={data!r}, validation_size=8), embedding=Pretrained(model={model!r}),
    peft={peft}, training=Training(epochs=1),
)
"""
METHODS = ("LoRA(rank=2)", "Adapter(bottleneck=4)", "LoRA(rank=2, dora=True)")


@pytest.fixture
def made(bert, cache, tmp_path, monkeypatch):
    """A recipe over a base of its own, for each method: `made("Full()")`."""
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))
    base = Path(shutil.copytree(bert, tmp_path / "base"))
    rows = [f"word{n} word{n + 1}\t{'even' if n % 2 == 0 else 'odd'}\n" for n in range(40)]
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(rows))

    def written(peft):
        path = tmp_path / "small.py"
        path.write_text(RECIPE.format(data=str(tmp_path / "train.tsv"), model=str(base), peft=peft))
        return load(path)

    return written


def saved(recipe, folder):
    told = prepare(recipe)
    prepared, base = Path(told["folder"]), bases.of_model(recipe.embedding)
    model = initial_model(recipe, told["labels"], prepared)
    model_folder.save_model(model, recipe, told["labels"], prepared, told["max_length"], folder, base)
    return predict(load_saved_model(folder), ["word1 word2"])


def other_bit(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 64]))


@pytest.mark.parametrize("peft", METHODS)
def test_a_saved_adapter_is_refused_over_another_base(made, tmp_path, peft):
    answer = saved(made(peft).recipe, tmp_path / "model")
    base = tmp_path / "base"
    (base / "tokenizer_config.json").write_text("{}")  # the model has a tokenizer of its own
    (base / "README.md").touch()
    assert predict(load_saved_model(tmp_path / "model"), ["word1 word2"]) == answer
    for name in ("model.safetensors", "config.json"):
        content = (base / name).read_bytes()
        other_bit(base / name)
        with pytest.raises(BackendError, match="the base is another one than this model was trained on") as refused:
            predict(load_saved_model(tmp_path / "model"), ["word1 word2"])
        assert name in str(refused.value) and "train again" in str(refused.value)
        (base / name).write_bytes(content)
    shutil.rmtree(base)
    with pytest.raises(RecipeError, match="there is no"):
        predict(load_saved_model(tmp_path / "model"), ["word1 word2"])


def test_a_whole_model_asks_for_no_base(made, tmp_path):
    answer = saved(made("BitFit()").recipe, tmp_path / "model")
    shutil.rmtree(tmp_path / "base")
    assert predict(load_saved_model(tmp_path / "model"), ["word1 word2"]) == answer


def test_files_are_for_whom_the_umask_says(made, tmp_path):
    before = os.umask(0o027)
    try:
        saved(made(METHODS[0]).recipe, tmp_path / "model")
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "model").rglob("*") if p.is_file()}
    assert set(modes.values()) == {0o640}, modes
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o750


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_run_does_not_go_on_over_another_base(made, tmp_path, name):
    loaded = made("BitFit()")
    request = Request(loaded.path, {}, Placement(strategy="single"), "r", tmp_path / "runs", resume=True)
    folder, plan = RunFolder(tmp_path / "runs" / "r"), run_request.make_plan(request, loaded)
    opening.open_folder(folder, request, loaded, plan)
    opening._refuse_other_data(folder, plan)
    bases.refuse_others(loaded.recipe, plan.base)
    if name == "tokenizer.json":
        path = tmp_path / "base" / name
        path.write_text(json.dumps(json.loads(path.read_text())))
    else:
        other_bit(tmp_path / "base" / name)
    with pytest.raises(BackendError, match=f"{name} of .*/base has changed since run r began"):
        opening._refuse_other_data(folder, run_request.make_plan(request, loaded))
    with pytest.raises(WorkerError, match=f"the base has changed since the run was planned: {name}"):
        bases.refuse_others(loaded.recipe, plan.base)


def test_a_damaged_saved_model_is_no_base(made, tmp_path):
    saved(made("Full()").recipe, tmp_path / "first")
    (tmp_path / "outcome.json").write_text("{}")  # so it is a run's own, and no copy that people may change
    path = tmp_path / "small.py"
    path.write_text(path.read_text().replace(str(tmp_path / "base"), str(tmp_path / "first")))
    request = Request(path, {}, Placement(strategy="single"), "r", tmp_path / "runs")
    assert run_request.make_plan(request, load(path)).base
    tokenizer = tmp_path / "first" / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes()[:100])
    with pytest.raises(BackendError, match=r"damaged: tokenizer\.json is not as it was written"):
        run_request.make_plan(request, load(path))


def test_files_of_static_vectors_are_known_by_their_content(tmp_path):
    (tmp_path / "words.vec").write_text("a 1 2\n")
    then = bases.of_files([str(tmp_path / "words.vec"), "no"])
    (tmp_path / "words.vec").write_text("a 1 3\n")
    now = bases.of_files([str(tmp_path / "words.vec")])
    assert bases.differing(then, then) == "" and bases.differing(then, now) == str(tmp_path / "words.vec")


HUB = """
import json, sys
from launcher.recipe.source import Pretrained
from launcher.training.sources import bases
from launcher.errors import LauncherError
source = Pretrained(model="some/bert")
told = bases.of_model(source)
print(json.dumps(told))
print(bases.same_base(source, {"some/bert": {"revision": "a" * 40}}).model)
try:
    bases.same_base(source, {"some/bert": {"revision": "c" * 40}})
except LauncherError as error:
    print(json.dumps(str(error)))
"""


def test_of_the_hub_the_revision_is_kept_and_taken_again(bert, tmp_path):
    repository = tmp_path / "hub" / "models--some--bert"
    for revision in ("a" * 40, "b" * 40):
        shutil.copytree(bert, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("b" * 40)
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", HUB], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told, taken, refusal = done.stdout.splitlines()
    assert json.loads(told) == {"some/bert": {"revision": "b" * 40}}
    assert taken == str(repository / "snapshots" / ("a" * 40))
    assert "c" * 40 in refusal and "was not found" in refusal
    now = {"some/bert": {"revision": "b" * 40}}
    assert "a" * 40 in bases.differing({"some/bert": {"revision": "a" * 40}}, now)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("model.safetensors.index.json", {"weight_map": {"x": "pytorch_model.bin"}}, "names 'pytorch_model.bin'"),
        ("model.safetensors.index.json", {"weight_map": {"x": "../o/model.safetensors"}}, "names '../o/model"),
        ("model.safetensors.index.json", {"weight_map": {"x": "/tmp/model.safetensors"}}, "names '/tmp/model"),
        ("model.safetensors.index.json", {"weight_map": {"x": "lost.safetensors"}}, "names 'lost.safetensors'"),
        ("model.safetensors.index.json", {"weight_map": {"x": ["a"]}}, "for weights"),
        ("model.safetensors.index.json", {"weight_map": 3}, "names '3'"),
        ("model.safetensors.index.json", [1], "is not a JSON object"),
        ("config.json", {"model_type": "bert", "transformers_weights": "pytorch_model.bin"}, "config.json names"),
        ("config.json", {"model_type": "bert", "transformers_weights": "../x.safetensors"}, "config.json names"),
        (
            "tokenizer_config.json",
            {"fast_tokenizer_files": ["tokenizer.1/../x.json"]},
            "tokenizer_config.json names",
        ),
        ("adapter_config.json", {"base_model_name_or_path": "some/where"}, "is an adapter, or holds one"),
    ],
)
def test_no_name_in_a_model_leads_elsewhere(bert, tmp_path, name, content, told):
    from launcher.recipe.source import Pretrained
    from launcher.recipe.task import TextClassification
    from launcher.training.sources import pretrained, pretrained_tokenizer

    folder = Path(shutil.copytree(bert, tmp_path / "bert"))
    safe_folder.refuse_names_that_lead_away(str(folder), "bert")
    if name == "model.safetensors.index.json":
        (folder / "model.safetensors").rename(folder / "x.safetensors")
    (folder / "pytorch_model.bin").touch()
    (folder / name).write_text(json.dumps(content))
    source, task = Pretrained(model=str(folder)), TextClassification()
    for road in (
        lambda: pretrained.build_model(source, task, ["a", "b"], folder, None),
        lambda: pretrained.load_model(folder, task),
        lambda: pretrained_tokenizer.build_tokenizer(source, task, tmp_path),
    ):
        with pytest.raises(DataError) as refused:
            road()
        assert told in str(refused.value)


def test_an_index_of_the_folders_own_weights_is_followed(bert, tmp_path):
    from transformers import BertModel

    from launcher.recipe.source import Pretrained
    from launcher.recipe.task import TextClassification
    from launcher.training.sources import pretrained

    folder = Path(shutil.copytree(bert, tmp_path / "bert"))
    (folder / "model.safetensors").unlink()
    BertModel.from_pretrained(bert).save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").is_file()
    assert pretrained.build_model(Pretrained(model=str(folder)), TextClassification(), ["a", "b"], folder, None)
