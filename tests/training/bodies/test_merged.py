"""QLoRA's updates go into the weights that the base's 4 bits stand for."""

import json

import pytest
import torch
from matrix import outcome, recipe_of

from launcher.errors import RecipeError
from launcher.recipe.method import LoRA, QLoRA
from launcher.training.result.merging import Mix, merge
from launcher.training.result.model_folder import load_saved_model


def test_several_runs_of_four_bits_are_mixed_from_what_these_bits_stand_for(data, model_of, tmp_path):
    folders = [tmp_path / "a" / "model", tmp_path / "b" / "model"]
    for seed, folder in enumerate(folders):
        folder.parent.mkdir()
        recipe = recipe_of("texts", data, model_of("BERT"), QLoRA(rank=2), seed=seed)
        assert outcome(recipe, folder) == "trains"
        merge([folder], tmp_path / f"whole{seed}", Mix((1.0,)))
    merge(folders, tmp_path / "doubled", Mix((2.0, 2.0), "linear"))
    merge([folders[0], folders[0]], tmp_path / "ties", Mix((1.0, 1.0), "ties", density=0.01))
    read = [load_saved_model(tmp_path / name).model.state_dict() for name in ("whole0", "whole1", "doubled", "ties")]
    one, other, doubled, ties = read
    name = "bert.encoder.layer.0.attention.self.query.weight"
    base = bits_of(load_saved_model(folders[0]), name)
    assert torch.allclose(doubled[name] - base, 2 * (one[name] - base) + 2 * (other[name] - base), atol=1e-6)
    # one in a hundred of what was trained, and nothing of what was lost when the base was put into 4 bits
    assert 0 < int((ties[name] - base).abs().gt(1e-7).sum()) <= max(1, base.numel() // 50)
    mixed = tmp_path / "c" / "model"
    mixed.parent.mkdir()
    assert outcome(recipe_of("texts", data, model_of("BERT"), LoRA(rank=2)), mixed) == "trains"
    with pytest.raises(RecipeError, match="beside the base in 4 bits, which is another base"):
        merge([folders[0], mixed], tmp_path / "no", Mix((0.5, 0.5)))
    assert not (tmp_path / "no").exists()


def bits_of(saved, name):
    """The weights that the 4 bits of the base stand for."""
    from bitsandbytes.functional import dequantize_4bit

    packed = dict(saved.model.named_parameters())[f"base_model.model.{name.replace('.weight', '.base_layer.weight')}"]
    return dequantize_4bit(packed.data, packed.quant_state).float()


def test_four_bits_become_the_weights_that_they_stand_for(data, model_of, tmp_path):
    folder, output = tmp_path / "model", tmp_path / "whole"
    assert outcome(recipe_of("texts", data, model_of("BERT"), QLoRA(rank=2)), folder) == "trains"
    told = merge([folder], output, Mix((1.0,)))
    assert told["largest_difference"] < 1e-5
    assert json.loads((output / "launcher.json").read_text())["merged"]["dequantised"] is True
    assert "in 4 bits" in (output / "README.md").read_text()
    weights = load_saved_model(output).model.state_dict()
    assert {value.dtype for value in weights.values()} <= {torch.float32, torch.int64}
