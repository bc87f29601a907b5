"""One loop, one curve: a plain torch loop = 1 process = 2 = 4, for three models, uneven everything."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from launcher.recipe import load
from launcher.training.saving import initial_model

STATIC = "RandomVectors(dimension=24, tokens='words', encoder={})"
MODELS = {
    "mean pooling": ("texts", STATIC.format("MeanPooling(hidden=16)"), {"encoder": "mean"}),
    "bilstm ner": ("entities", STATIC.format("BiLSTM(hidden=16)"), {"encoder": "bilstm"}),
    "bert": ("texts", "Pretrained(model={bert!r})", {}),
}
STEPS = 25
SETTINGS = {
    "batch_size": 16,
    "steps": STEPS,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "learning_rate": 1e-2,
    "clip_norm": 1.0,
    "seed": 0,
}


def largest_difference(left, right):
    assert len(left) == len(right) == STEPS
    return max(abs(a - b) for a, b in zip(left, right, strict=True))


def plain_losses(run, recipe, extra, tmp_path, environment):
    """The losses of plain_loop.py from the very initial weights, in a process of its own."""
    plan = json.loads((run.folder / "plan.json").read_text())
    loaded = load(recipe)
    labels = json.loads(Path(plan["prepared"], "facts.json").read_text())["labels"]
    model = initial_model(loaded.recipe, labels, Path(plan["prepared"]))
    settings = {**SETTINGS, **extra}
    if "encoder" not in extra:
        config = model.config.to_dict()
        names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        settings["bert"] = {name: config[name] for name in names}
        settings["bert"] |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "initial.safetensors")
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    script = Path(__file__).with_name("plain_loop.py")
    words = [script, plan["prepared"], tmp_path / "initial.safetensors", tmp_path / "settings.json"]
    subprocess.run([sys.executable, *map(str, words), str(tmp_path / "losses.json")], check=True, env=environment)
    return json.loads((tmp_path / "losses.json").read_text())


def test_the_plain_loop_imports_nothing_of_ours():
    assert "launcher" not in Path(__file__).with_name("plain_loop.py").read_text().replace("launcher must", "")


@pytest.mark.parametrize("name", MODELS)
def test_the_curve_is_that_of_a_plain_loop_at_every_world_size(name, write_recipe, launch, bert, tmp_path, environment):
    kind, embedding, extra = MODELS[name]
    # 203 rows less two cuts give 165: the tenth batch of an epoch holds 5 rows, 16 / 4 ranks in micro-batches
    # of 3 are uneven, and so is the share of the short batch
    recipe = write_recipe(embedding.format(bert=str(bert)), kind, training=f"max_steps={STEPS}")
    one = launch(recipe)
    plain = plain_losses(one, recipe, extra, tmp_path, environment)
    assert largest_difference(one.losses, plain) <= 1e-5
    assert max(plain) - min(plain) > 0.02, "the curve must move, or equality says nothing"
    for processes in (2, 4):
        many = launch(recipe, "--processes", processes, "--set", "training.micro_batch_size=3")
        assert many.outcome["world_size"] == processes
        assert many.outcome["in_force"]["wrapper"] == "DistributedDataParallel"
        assert largest_difference(many.losses, one.losses) <= 1e-5
        assert many.outcome["metrics"]["test"]["examples"] == 20
        assert many.outcome["metrics"]["test"]["loss"] == pytest.approx(
            one.outcome["metrics"]["test"]["loss"], abs=1e-5
        )


def test_accumulation_changes_nothing(write_recipe, launch):
    recipe = write_recipe(MODELS["mean pooling"][1], training=f"max_steps={STEPS}")
    whole = launch(recipe)
    parts = launch(recipe, "--set", "training.micro_batch_size=5")
    plan = json.loads((parts.folder / "plan.json").read_text())
    assert (plan["micro_batch_size"], plan["accumulation"]) == (5, 4)
    assert largest_difference(whole.losses, parts.losses) <= 1e-5


@pytest.mark.parametrize("peft", ["LoRA(rank=4)", "Adapter(bottleneck=8)"])
@pytest.mark.parametrize("name", ["mean pooling", "bert"])
def test_methods_give_one_curve_on_two_processes(name, peft, write_recipe, launch, bert):
    kind, embedding, _ = MODELS[name]
    recipe = write_recipe(embedding.format(bert=str(bert)), kind, peft=peft, training=f"max_steps={STEPS}")
    one, two = launch(recipe), launch(recipe, "--processes", 2)
    assert largest_difference(one.losses, two.losses) <= 1e-5
    counts = one.outcome["parameters"]
    assert 0 < counts["trainable"] < counts["total"]
    assert two.outcome["parameters"] == counts
    assert two.outcome["proof"]["largest_logit_difference"] <= 1e-5


def test_bf16_computes_in_bf16(write_recipe, launch, bert):
    from launcher.backends.local import facts

    if not facts().cpu_bf16:
        pytest.skip("this CPU has no bf16 arithmetic")
    recipe = write_recipe(MODELS["bert"][1].format(bert=str(bert)), training=f"max_steps={STEPS}")
    fine, coarse = launch(recipe), launch(recipe, "--set", "training.precision=bf16")
    difference = largest_difference(fine.losses, coarse.losses)
    assert 1e-6 < difference < 0.1, "bf16 rounds visibly, and not beyond its means"
    assert coarse.outcome["precision"] == "bf16"
    assert coarse.outcome["proof"]["largest_logit_difference"] <= 1e-5


def test_two_runs_of_one_recipe_are_bit_identical(write_recipe, launch):
    recipe = write_recipe(MODELS["bilstm ner"][1], "entities", training=f"max_steps={STEPS}")
    first, second = (launch(recipe, "--set", "training.dropout=0.2") for _ in range(2))
    assert [loss.hex() for loss in first.losses] == [loss.hex() for loss in second.losses]
    other = launch(recipe, "--set", "training.dropout=0.2", "--set", "training.seed=1")
    assert other.losses != first.losses


@pytest.mark.parametrize("peft", ["Full()", "LoRA(rank=4)", "Adapter(bottleneck=8)"])
def test_a_bag_of_ngrams_is_saved_and_proven_with_every_method(peft, write_recipe, launch):
    embedding = "RandomVectors(dimension=12, tokens='words', ngrams=2, encoder=MeanPooling())"
    recipe = write_recipe(embedding, peft=peft, training=f"max_steps={STEPS}")
    one, two = launch(recipe), launch(recipe, "--processes", 2)
    assert largest_difference(one.losses, two.losses) <= 1e-5
    assert one.outcome["proof"]["largest_logit_difference"] <= 1e-5
    table = (62 if peft == "Full()" else 0) * 12  # 60 words, padding and the unknown
    assert one.outcome["parameters"]["trainable"] > 60 * 2 + table
