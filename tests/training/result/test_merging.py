"""`launcher merge`: adapters in the weights of their base, of one run or of several."""

import json
import os
import subprocess
from dataclasses import replace

import pytest
import torch
import transformers
from huggingface_hub import ModelCard

from launcher.errors import RecipeError, WorkerError
from launcher.training.result import merging
from launcher.training.result.inference import predict
from launcher.training.result.merging import Mix, linear, merge, ties
from launcher.training.result.model_folder import load_saved_model

STEPS = {"max_steps": 8, "evaluate_every": 8}
TEXTS = ["word1 word3 word2", "word0", "word9 word4"]
ALONE = Mix((1.0,))


def model_of(warm, model, method, **more):
    return warm.finished(model, method, "single", 1, **STEPS, **more).folder.path / "model"


def probabilities(folder):
    return [one["probabilities"] for one in predict(load_saved_model(folder), TEXTS)]


def weights_in(folder):
    return dict(load_saved_model(folder).model.named_parameters())


def alike(ours, theirs, within=1e-5):
    return all(one == pytest.approx(other, abs=within) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("model", ["bert", "wide"])
def test_a_merged_model_is_whole_and_answers_as_the_run(warm, tmp_path, model):
    folder, output = model_of(warm, model, "LoRA"), tmp_path / "whole"
    told = merge([folder], output, ALONE)
    assert told["largest_difference"] < 1e-5
    assert alike(probabilities(output), probabilities(folder))
    assert not [path for path in output.rglob("*") if "adapter" in path.name or path.name == "base"]
    about = json.loads((output / "launcher.json").read_text())
    assert about["recipe"]["peft"]["kind"] == "Full" and about["merged"]["method"] == "LoRA"
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
    if model == "bert":
        assert (
            list(about["merged"]["base"]) == [str(warm.bert)] and str(warm.bert) in (output / "README.md").read_text()
        )
        plain = transformers.AutoModelForSequenceClassification.from_pretrained(output)
        assert not [name for name, _ in plain.named_parameters() if "lora" in name]


def test_several_runs_by_weights(warm, tmp_path):
    first, second = (model_of(warm, "bert", "LoRA", seed=seed) for seed in (0, 1))
    told = merge([first, second], tmp_path / "mixed", Mix((0.5, 0.5)))
    assert [(score["metric"], 0 <= score["merged"] <= 1) for score in told["scores"]] == [("accuracy", True)] * 2
    for name, folder in (("first", first), ("second", second)):
        merge([folder], tmp_path / name, ALONE)
    merge([first, first], tmp_path / "same", Mix((1.0, 1.0), "ties", density=1.0))
    one, other, mixed, same = (weights_in(tmp_path / name) for name in ("first", "second", "mixed", "same"))
    assert max(float((one[name] - other[name]).abs().max()) for name in one if "classifier" not in name) > 1e-4
    for name in one:  # of one base, so the mean of what was trained is that of the weights
        assert torch.allclose(mixed[name], (one[name] + other[name]) / 2, atol=1e-7), name
        assert torch.allclose(same[name], one[name], atol=1e-7), name


def test_the_card_of_several_says_how_they_answer(warm, tmp_path):
    folders = [model_of(warm, "bert", "LoRA", seed=seed) for seed in (0, 1)]
    told = merge(folders, tmp_path / "mixed", Mix((1.5, -0.5)))
    card = (tmp_path / "mixed" / "README.md").read_text(encoding="utf-8")
    assert ModelCard(card).data.pipeline_tag == "text-classification"
    assert "What LoRA trained in " in card and "weights 1.5, -0.5." in card
    assert f"| accuracy | {told['scores'][0]['own']:.4f} | {told['scores'][0]['merged']:.4f} |" in card
    assert json.loads((tmp_path / "mixed" / "launcher.json").read_text())["merged"]["scores"] == told["scores"]
    assert load_saved_model(tmp_path / "mixed").recipe.peft.kind == "Full"  # its seal holds


def test_what_a_killed_process_left_is_removed_by_the_next(warm, tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / f".whole.{gone.pid}").mkdir()
    (tmp_path / f".whole.{os.getppid()}").mkdir()  # of one that is at work
    merge([model_of(warm, "bert", "LoRA")], tmp_path / "whole", ALONE)
    assert {path.name for path in tmp_path.iterdir()} == {"whole", f".whole.{os.getppid()}"}


def test_ties_by_hand():
    one, other = torch.tensor([3.0, -1.0, 0.5, 2.0]), torch.tensor([1.0, 4.0, -0.1, -2.5])
    assert linear([one, other], (1.0, 2.0)).tolist() == pytest.approx([5.0, 7.0, 0.3, -3.0])
    # half of each is kept: 3, 2 of one and 4, -2.5 of the other; the last number's sum is below 0, where one agrees
    assert ties([one, other], Mix((1.0, 1.0), "ties", 0.5)).tolist() == [3.0, 4.0, 0.0, -2.5]


def test_what_cannot_be_merged_is_told_at_once(warm, tmp_path):
    folders = [model_of(warm, "bert", method) for method in ("LoRA", "Adapter", "Full")]
    folders.append(model_of(warm, "pairs", "LoRA"))
    folders.append(model_of(warm, "wide", "LoRA"))
    with pytest.raises(RecipeError) as told:
        merge(folders, tmp_path / "whole", Mix((1.0,) * 5))
    whats = [problem.what for problem in told.value.problems]
    assert "what Adapter adds stands beside the weights and cannot be put into them" in whats
    assert "a model trained by Full is whole already" in whats
    assert "it was not trained on the base of the first run" in whats
    assert not list(tmp_path.iterdir())


def test_a_merged_model_that_answers_otherwise_is_not_kept(warm, tmp_path, monkeypatch):
    folder = model_of(warm, "bert", "LoRA")
    right = merging._whole

    def wrong(saved, where):
        model = right(saved, where)
        model.classifier.bias.data += 0.01
        return model

    monkeypatch.setattr(merging, "_whole", wrong)
    with pytest.raises(WorkerError, match="the merged model answers otherwise"):
        merge([folder], tmp_path / "whole", ALONE)
    assert not list(tmp_path.iterdir())


def test_labels_must_be_the_same(warm, tmp_path):
    saved = load_saved_model(model_of(warm, "bert", "LoRA"))
    other = replace(saved, reader=saved.reader._replace(labels=[*saved.labels[:-1], "other"]))
    (problem,) = merging._unlike([saved, other], [tmp_path, tmp_path])
    assert "other" in problem.what and problem.do == "merge runs with the same labels"
