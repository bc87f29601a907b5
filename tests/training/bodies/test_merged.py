"""QLoRA's updates go into the weights that the base's 4 bits stand for."""

import json

import torch
from matrix import outcome, recipe_of

from launcher.recipe.method import QLoRA
from launcher.training.result.merging import Mix, merge
from launcher.training.result.model_folder import load_saved_model


def test_four_bits_become_the_weights_that_they_stand_for(data, model_of, tmp_path):
    folder, output = tmp_path / "model", tmp_path / "whole"
    assert outcome(recipe_of("texts", data, model_of("BERT"), QLoRA(rank=2)), folder) == "trains"
    told = merge([folder], output, Mix((1.0,)))
    assert told["largest_difference"] < 1e-5
    assert json.loads((output / "launcher.json").read_text())["merged"]["dequantised"] is True
    assert "in 4 bits" in (output / "README.md").read_text()
    weights = load_saved_model(output).model.state_dict()
    assert {value.dtype for value in weights.values()} <= {torch.float32, torch.int64}
