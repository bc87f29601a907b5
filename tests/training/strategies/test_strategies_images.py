"""Images under every strategy: one curve with augmentation on, exact resume, statistics that are saved, true answers.

Digits of 8 x 8 pixels; a small ResNet with batch normalisation, frozen and trained, and a small ViT.
"""

import json

import numpy as np
import pytest
import torch
from command_line import typed
from drawn_images import RESNET, VIT, save_body, write_digits
from PIL import Image
from warm import largest_difference

import launcher
from launcher import DataError
from launcher.launch.request import Request
from launcher.plan.placement import Placement

STEPS, STOP = 12, 6
RECIPE = """from launcher import *

recipe = Recipe(
    task=ImageClassification(crop=0.6, flip=True, rotation=10, colour=0.2, batch_norm={batch_norm!r}, size=16),
    data=ImageFolders(train={train!r}, validation_size=20, test_size=31),
    embedding={embedding},
    peft={peft},
    training=Training(max_steps=12, epochs=9, batch_size=16, learning_rate={rate}, dropout=0, log_every=1,
        checkpoint_every=6, keep_checkpoints=9, evaluate_every=12),
)
"""
MODELS = {
    "frozen": ("frozen", "Pretrained(model={resnet!r})", "Full()", 5e-3),
    "trained": ("trained", f"FromConfig(config={RESNET!r})", "Full()", 5e-3),
    "vit": ("frozen", "Pretrained(model={vit!r})", "LoRA(rank=2)", 5e-3),
    "convolutions": ("frozen", "Pretrained(model={resnet!r})", "LoRA(rank=2, targets=('convolution',))", 5e-3),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """164 digits of four labels, and bodies with random weights: 113 rows train, so the last batch of an epoch is 1."""
    folder = tmp_path_factory.mktemp("images")
    write_digits(folder / "digits", each=41, labels=4)
    save_body(RESNET, folder / "resnet")
    save_body(VIT, folder / "vit")
    return folder


@pytest.fixture(scope="module")
def run(warm, images):
    """`run("frozen", "ddp", 2)`, each made once."""
    made = {}

    def train(model, strategy="single", processes=1):
        key = (model, strategy, processes)
        if key not in made:
            batch_norm, embedding, peft, rate = MODELS[model]
            if "{" in embedding and embedding.startswith("Pretrained"):
                embedding = embedding.format(resnet=str(images / "resnet"), vit=str(images / "vit"))
            train = str(images / "digits")
            values = {"batch_norm": batch_norm, "train": train, "embedding": embedding, "peft": peft, "rate": rate}
            path = images / f"{model}.py"
            path.write_text(RECIPE.format(**values))
            name = "-".join(map(str, key))
            made[key] = warm.carry_out(Request(path, {}, Placement(processes, strategy), name, images / "runs"))
        assert set(made[key].status.values()) == {0}, made[key].failures()
        return made[key]

    return train


@pytest.mark.parametrize(
    ("model", "strategy", "processes"),
    [
        *(("frozen", strategy, 2) for strategy in ("ddp", "fsdp2", "zero3")),
        *(("trained", *where) for where in (("ddp", 2), ("fsdp2", 2), ("zero3", 2))),
        *(("vit", strategy, 2) for strategy in ("ddp", "fsdp2")),
        ("convolutions", "zero2", 2),
    ],
)
def test_the_curve_is_that_of_one_process(run, model, strategy, processes):
    one, many = run(model), run(model, strategy, processes)
    assert many.outcome["in_force"]["name"] == strategy and many.outcome["world_size"] == processes
    assert largest_difference(one.losses, many.losses, STEPS) <= 1e-5
    assert max(one.losses) - min(one.losses) > 0.02, "the curve must move, or equality says nothing"
    for split in ("before", "validation", "test"):
        told, expected = many.outcome["metrics"][split], one.outcome["metrics"][split]
        assert told["examples"] == expected["examples"]
        assert told["loss"] == pytest.approx(expected["loss"], abs=1e-5)
    assert many.outcome["proof"]["largest_logit_difference_from_training"] <= 1e-5
    assert 0 <= many.outcome["waited_for_batches"] < 1


@pytest.mark.parametrize(("model", "strategy"), [("trained", "ddp"), ("frozen", "fsdp2")])
def test_a_resumed_run_goes_on_bit_by_bit(warm, run, model, strategy):
    whole = run(model, strategy, 2)
    resumed = warm.resume(whole, STOP, strategy, 2)
    assert set(resumed.status.values()) == {0}, resumed.failures()
    later = {step: loss.hex() for step, loss in whole.steps.items() if step > STOP}
    assert {step: loss.hex() for step, loss in resumed.steps.items() if step > STOP} == later and len(later) == STOP
    assert resumed.outcome["metrics"]["test"] == whole.outcome["metrics"]["test"]


def test_statistics_move_where_they_train_and_are_saved(run, images):
    from safetensors.torch import load_file

    moved, stayed = (load_file(run(model).folder.path / "model/model.safetensors") for model in ("trained", "frozen"))
    names = [name for name in stayed if name.endswith("running_mean")]
    assert names and all(torch.equal(stayed[name], torch.zeros_like(stayed[name])) for name in names)
    assert all(moved[name].abs().max() > 1e-3 for name in names)


@pytest.mark.parametrize("model", ["trained", "frozen"])
def test_transformers_answers_alike(run, images, model):
    from transformers import pipeline

    folder = run(model).folder.path
    paths = [str(path) for path in sorted((images / "digits" / "two").glob("*.png"))[:5]]
    ours = launcher.predict(folder, paths)
    assert all(set(answer) == {"label", "probability", "probabilities"} for answer in ours)
    theirs = pipeline("image-classification", model=str(folder / "model"), device="cpu", top_k=4)(paths)
    for answer, told in zip(ours, theirs, strict=True):
        assert {one["label"]: one["score"] for one in told} == pytest.approx(answer["probabilities"], abs=1e-4)


def test_files_folders_and_tables_are_predicted_and_evaluated(run, images, tmp_path):
    folder = run("frozen").folder.path
    files = [str(images / "digits/two/0.png"), str(images / "digits/one/1.png")]
    command = ["predict", folder.name, "--runs", folder.parent]
    done = typed(*command, *files)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[2] for line in lines] == files and {line[0] for line in lines} <= {"zero", "one", "two", "three"}
    (tmp_path / "some").mkdir()
    Image.open(files[0]).convert("RGB").save(tmp_path / "some/two.jpg")
    (tmp_path / "some/list.csv").write_text("image,number\ntwo.jpg,2\n")
    for given in ("some", "some/list.csv"):
        done = typed(*command, "--file", tmp_path / given, "--json")
        assert done.returncode == 0, done.stderr
        (answer,) = json.loads(done.stdout)
        assert answer["image"].endswith("two.jpg") and set(answer) >= {"label", "probability"}
    with pytest.raises(DataError) as caught:
        launcher.predict(folder, [files[0], "nowhere.png", str(tmp_path / "some/list.csv")])
    assert [problem.where.rpartition("/")[2] for problem in caught.value.problems] == ["nowhere.png", "list.csv"]
    metrics = launcher.evaluate(folder)
    assert metrics["accuracy"] == run("frozen").outcome["metrics"]["test"]["accuracy"]
    metrics = launcher.evaluate(folder, data=str(images / "digits"))
    assert metrics["examples"] == 164 and {"top5_accuracy", "macro_f1", "loss"} <= set(metrics)


def test_the_figures_show_images(run):
    figures = {path.name for path in run("frozen").folder.figures.glob("*.png")}
    assert {"data-images.png", "data-labels.png", "test-confusion-images.png", "test-misclassified.png"} <= figures
    assert "data-lengths.png" not in figures
    notes = run("frozen").folder.path / "attempts/1/notes.jsonl"
    assert not notes.exists() or "not shown" not in notes.read_text()


def test_the_next_batch_is_made_ahead_and_is_the_same(images):
    from launcher.training.batches.split import Split
    from launcher.training.data.preparation import Preparation
    from launcher.training.tasks import work_for
    from launcher.training.tasks.base import Draw, Reader
    from launcher.training.tasks.collate import Ahead, Batches

    work = work_for(launcher.ImageClassification(flip=True), Reader(("a",), None, 4, Preparation(4, 4)))
    ones, canvas = np.ones(6, np.int64), np.arange(6 * 48, dtype=np.uint8).reshape(6, 4, 4, 3)
    split = Split({"canvas": canvas, "labels": ones * 0}, {"loss": ones}, ones, np.arange(6))
    batches = Batches(work, torch.device("cpu"))
    ahead, draw = Ahead(batches), Draw(3, 1)
    parts = [np.array([0, 3]), np.array([5, 1]), np.array([2, 4])]
    following = [parts[1], None, None]
    made = [ahead(split, part, draw, after) for part, after in zip(parts, following, strict=True)]
    for part, batch in zip(parts, made, strict=True):
        assert torch.equal(batch.inputs["pixel_values"], batches(split, part, draw).inputs["pixel_values"])
    assert ahead.seconds > 0
