"""PiSSA and LoftQ: the start is what the papers say, the base stays, and what is saved fits the base as it was."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path

import pytest
import test_methods as base
import torch
from applying import apply, load_saved, save
from test_four_bit import inputs as packed_inputs
from test_method_placement import hidden_states, small
from transformers import BertConfig, BertForSequenceClassification, ResNetConfig, ResNetForImageClassification

from launcher.errors import PlanError
from launcher.recipe.method import LoRA, QLoRA
from launcher.training.methods import starts

RANK = 4
BERT = base.CASES["bert"]


@pytest.mark.parametrize("rslora", [False, True])
def test_pissa_starts_as_the_base_from_its_principal_components(rslora: bool) -> None:
    model = base.build(BERT)
    before, weights = base.logits(model), {n: p.detach().clone() for n, p in model.named_parameters()}
    applied = apply(model, LoRA(rank=RANK, start="pissa", rslora=rslora), BERT.new)
    assert (base.logits(applied) - before).abs().max() <= 1e-6
    assert base.trainable(applied) == base.expected(BERT, LoRA(rank=RANK), 0)
    layers = dict(starts.updated(applied))
    assert len(layers) == 4
    for name, layer in layers.items():
        weight = weights[f"{name}.weight"]
        assert torch.equal(layer.base_layer.layer.weight, weight), "the base stays"
        u, s, v = torch.linalg.svd(weight.double(), full_matrices=False)
        principal = (u[:, :RANK] * s[:RANK]) @ v[:RANK]
        a, b = layer.lora_A["default"].weight.double(), layer.lora_B["default"].weight.double()
        assert torch.allclose(b @ a * layer.scaling["default"], principal, atol=1e-4 * float(s[0]))
        assert torch.allclose(a @ a.T, b.T @ b, atol=1e-6), "both halves carry the same part"


@pytest.mark.parametrize("rslora", [False, True])
def test_what_pissa_saves_fits_the_base_as_it_was_in_peft_alone(rslora: bool, tmp_path: Path) -> None:
    method = LoRA(rank=RANK, start="pissa", rslora=rslora)
    applied = apply(base.build(BERT), method, BERT.new)
    frozen = {n: p.detach().clone() for n, p in applied.named_parameters() if not p.requires_grad}
    base.three_steps(applied)
    assert all(torch.equal(dict(applied.named_parameters())[n], p) for n, p in frozen.items())
    trained = base.logits(applied)
    save(applied, method, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["r"] == 2 * RANK
    loaded = load_saved(base.build(BERT), method, BERT.new, tmp_path)
    assert torch.equal(base.logits(loaded), trained) and base.trainable(loaded) == 0
    again = dict(loaded.named_parameters())
    assert all(torch.equal(again[n], p) for n, p in applied.named_parameters())
    from peft import PeftModel

    plain = PeftModel.from_pretrained(base.build(BERT), str(tmp_path))
    assert (base.logits(plain) - trained).abs().max() <= 1e-5
    merged = plain.merge_and_unload()
    assert (base.logits(merged) - trained).abs().max() <= 1e-5


@pytest.mark.parametrize("kind", ["gpt2", "llama", "distilbert"])
def test_pissa_on_other_models(kind: str) -> None:
    model = small(kind)
    before = hidden_states(model)
    applied = apply(model, LoRA(rank=2, start="pissa"), []).eval()
    assert (hidden_states(applied) - before).abs().max() <= 1e-5


def test_pissa_can_be_counted_on_the_meta_device() -> None:
    with torch.device("meta"):
        applied = apply(base.tiny_bert(), LoRA(rank=RANK, start="pissa"), BERT.new)
    assert base.trainable(applied) == base.expected(BERT, LoRA(rank=RANK), 0)
    assert {p.device.type for p in applied.parameters()} == {"meta"}


def test_pissa_takes_linear_layers_alone() -> None:
    tables = LoRA(rank=2, start="pissa", targets=("query", "word_embeddings"))
    with pytest.raises(PlanError, match="LoRA target 'word_embeddings' is not a linear layer"):
        apply(base.build(BERT), tables, BERT.new)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    with pytest.raises(PlanError, match="PiSSA takes a linear layer apart, and this 'resnet' model has none"):
        apply(ResNetForImageClassification(ResNetConfig(**sizes)), LoRA(start="pissa"), ["classifier"])


def test_the_nearest_matrix_of_a_rank_above_that_of_the_matrix() -> None:
    matrix = torch.randn(3, 9)
    a, b = starts.nearest(matrix, 8, 2.0)
    assert a.shape == (8, 9) and b.shape == (3, 8)
    torch.testing.assert_close(2.0 * b @ a, matrix)


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_loftq_starts_nearer_to_the_whole_weights_and_is_saved_over_the_packed_base(tmp_path: Path) -> None:
    from bitsandbytes.functional import dequantize_4bit

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128
    )
    model = BertForSequenceClassification(config).eval()
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    method = QLoRA(rank=8, start="loftq")
    applied = apply(copy.deepcopy(model), method, ["classifier"]).eval()
    zero = apply(copy.deepcopy(model), QLoRA(rank=8), ["classifier"]).eval()
    assert base.trainable(applied) == base.trainable(zero)
    for name, layer in starts.updated(applied):
        packed = layer.base_layer.weight
        lost = weights[f"{name}.weight"] - dequantize_4bit(packed.data, packed.quant_state)
        a, b = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()
        error = float((lost - layer.scaling["default"] * b @ a).norm())
        left = torch.linalg.svdvals(lost)[8:].square().sum().sqrt()
        assert error == pytest.approx(float(left), rel=1e-3), "no matrix of this rank is nearer"
        assert error < 0.9 * float(lost.norm())
    optimiser = torch.optim.AdamW([p for p in applied.parameters() if p.requires_grad], lr=1e-2)
    applied(**packed_inputs()).loss.backward()
    optimiser.step()
    save(applied, method, tmp_path)
    loaded = load_saved(copy.deepcopy(model), method, ["classifier"], tmp_path)
    with torch.no_grad():
        assert torch.equal(applied(**packed_inputs()).logits, loaded(**packed_inputs()).logits)
