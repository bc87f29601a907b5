"""Each further method under a strategy: the curve of one process, exactly what trains, the rest bit for bit as it was.

Not the whole product: every method meets one strategy, every strategy at least one of them.
"""

import json
import re

import pytest
import torch
from safetensors.torch import load_file
from test_strategies_curve import PARTS
from warm import largest_difference

from launcher import LauncherError, predict
from launcher.training.result.model_folder import load_saved_model

LAYER = 4 * (32 * 32 + 32) + 2 * 32 + (32 * 64 + 64) + (64 * 32 + 32) + 2 * 32
LAYER_BIASES = 4 * 32 + 32 + 64 + 32 + 32
EMBEDDINGS = 164 * 32 + 512 * 32 + 2 * 32 + 2 * 32
POOLER, HEAD = 32 * 32 + 32, 32 * 2 + 2
SCALE = "CustomMethod(file='scale_only.py', options={'ends': ['key', 'dense']})"
NORMS = "Adapter(bottleneck=8, placement='houlsby', also_train=('LayerNorm', 'pooler'))"
MEAN = 2 * 24 * 16 + 16 + 16 * 2 + 2
"""The encoder and the head over static vectors."""
CNN = 24 * 8 * (2 + 3) + 2 * 8 + 16 * 2 + 2
BAG = (59 + 40) * 2
"""A vote for each label of every word but the stop word, and of every bucket."""
LISTED = 2 * 24
"""What two categories of a lexicon add to a vector."""
TRANSFORMER = (24 * 16 + 16) + 2 * (4 * (16 * 16 + 16) + 2 * 16 * 32 + 32 + 16 + 4 * 16) + 2 * 16 + 16 * 2 + 2
BILSTM = 2 * (4 * 16 * (24 + 16) + 2 * 4 * 16) + 32 * 3 + 3
STEPS = 20
WITH = {**PARTS, "max_steps": STEPS}
CASES = [
    ("bert", "BitFit()", "zero3", 2 * LAYER_BIASES + 32 + 32 + HEAD),
    ("bert", "TopLayers(layers=1)", "fsdp2", LAYER + HEAD),
    ("bert", "HeadOnly()", "fsdp2", HEAD),
    ("ner", "HeadOnly()", "ddp", BILSTM),
    ("bert", "Freeze(pattern='embeddings')", "zero2", 2 * LAYER + POOLER + HEAD),
    ("bert", "LoRA(rank=4, dora=True)", "fsdp2", 4 * (4 * 64 + 32) + HEAD),
    ("bert", "LoRA(rank=4, dora=True, targets=('word_embeddings',))", "fsdp2", 4 * (164 + 32) + 32 + HEAD),
    ("mean", "LoRA(rank=4, dora=True)", "fsdp2", 4 * (62 + 24) + 24 + MEAN),
    ("bert", "LoRA(rank=4, rslora=True)", "zero1", 4 * 4 * 64 + HEAD),
    ("bert", NORMS, "zero3", 4 * (8 * (32 + 32) + 8 + 32) + 5 * 2 * 32 + POOLER + HEAD),
    ("bert", NORMS, "fsdp2", 4 * (8 * (32 + 32) + 8 + 32) + 5 * 2 * 32 + POOLER + HEAD),
    ("bert", SCALE, "zero3", 2 * (32 + 32 + 64 + 32) + 32 + HEAD),
    ("hashed", "Full()", "ddp", 62 * 24 + MEAN),
    ("focal", "HeadOnly()", "fsdp2", MEAN),
    ("cnn", "LoRA(rank=4)", "zero3", 4 * (61 + 24) + CNN + BAG + LISTED),
    ("transformer", "Full()", "fsdp2", 62 * 24 + TRANSFORMER + LISTED),
]


def test_every_method_and_every_strategy_has_a_case():
    assert {name for _, _, name, _ in CASES} == {"ddp", "fsdp2", "zero1", "zero2", "zero3"}
    assert len({(kind, method, name) for kind, method, name, _ in CASES}) == len(CASES) == 16


@pytest.mark.parametrize(("kind", "method", "name", "count"), CASES)
def test_the_curve_is_that_of_one_process(warm, kind, method, name, count):
    one, many = warm.finished(kind, method, max_steps=STEPS), warm.finished(kind, method, name, 2, **WITH)
    for run in (one, many):
        assert run.outcome["parameters"]["trainable"] == count
    about = many.outcome["in_force"]
    assert about["name"] == name and many.outcome["world_size"] == 2
    # a table that is frozen sends nothing
    assert name != "ddp" or about["embedding_rows_by_themselves"] == (method == "Full()")
    assert largest_difference(one.losses, many.losses, STEPS) <= 1e-5
    assert many.norms == pytest.approx(one.norms, rel=1e-3, abs=1e-6)
    assert max(one.losses) - min(one.losses) > 0.01, "the curve must move, or equality says nothing"


@pytest.mark.parametrize(("kind", "method", "name", "count"), CASES)
def test_the_saved_model_has_the_rest_bit_for_bit_and_predicts(warm, kind, method, name, count):
    run = warm.finished(kind, method, name, 2, **WITH)
    saved = load_saved_model(run.folder.model)
    if kind == "bert" and not method.startswith(("LoRA", "Adapter", "Custom")):
        assert {path.name for path in run.folder.model.glob("*.safetensors")} == {"model.safetensors"}
    if kind == "bert":
        begun = load_file(f"{warm.bert}/model.safetensors")
        now = {plain_name(key): value for key, value in saved.model.named_parameters()}
        assert {f"bert.{key}" for key in begun} <= now.keys()
        same = sum(torch.equal(value, now[f"bert.{key}"]) * value.numel() for key, value in begun.items())
        added = sum(value.numel() for value in now.values()) - sum(value.numel() for value in begun.values())
        assert same == sum(value.numel() for value in begun.values()) - (count - added)
    (answer,) = predict(run.folder.path, ["word2 word4 word6 word8"])
    assert kind == "ner" or answer["label"] in ("good", "bad")
    assert ("entities" in answer) == (kind == "ner") and (answer.get("gamma") == 1.5) == (kind == "focal")


@pytest.mark.parametrize(("kind", "method", "name", "count"), CASES)
def test_a_checkpoint_holds_what_trains_and_nothing_else(warm, kind, method, name, count):
    run = warm.finished(kind, method, name, 2, **WITH)
    shards = sorted(run.folder.path.glob("**/step-*20/*.safetensors"))
    assert len(shards) == 2
    held = [(key, value.numel()) for path in shards for key, value in load_file(path).items()]
    assert sum(number for key, number in held if key.startswith("model.")) == count


def plain_name(name):
    for wrapped in ("base_model.model.", "base_layer.", "base.", ".modules_to_save.default", "original_module."):
        name = name.replace(wrapped, "." if wrapped.startswith(".") and not wrapped.startswith(".m") else "")
    return name


def test_the_files_of_a_run_are_in_its_folder_and_its_model(warm):
    run = warm.finished("bert", SCALE, "zero3", 2, **WITH)
    source = (warm.folder / "scale_only.py").read_text()
    assert (run.folder.path / "scale_only.py").read_text() == source
    about = json.loads((run.folder.model / "launcher.json").read_text())
    assert about["recipe"]["peft"]["source"] == source


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("Freeze(pattern='embedings')", "names nothing in this 'bert' model"),
        ("TopLayers(layers=3)", "TopLayers(layers=3): this 'bert' model has 2"),
        ("LoRA(targets=('qery',))", "LoRA target 'qery' is not a layer of this 'bert' model"),
        ("Adapter(also_train=('LayerNrm',))", "also_train 'LayerNrm' names no pretrained layer of this 'bert' model"),
        ("CustomMethod(file='scale_only.py', options={'ends': 5})", "scale_only.py: apply broke: TypeError"),
    ],
)
def test_what_the_model_does_not_have_is_told_before_anything_starts(warm, method, told):
    with pytest.raises(LauncherError) as caught:
        warm.run("bert", method, "ddp", 2)
    (problem,) = caught.value.problems
    assert told in problem.what
    assert re.search(r"recipe_\w+\.py:\d+$|^scale_only\.py:19$", problem.where)
    assert not (warm.folder / "runs" / f"r{warm.count}").exists()
