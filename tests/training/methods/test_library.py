"""IA3, VeRA and OFT on real models: as their papers have them, with what trains counted by hand; saved, read back."""

from __future__ import annotations

from pathlib import Path

import pytest
import test_methods as base
import torch
from applying import apply, load_saved, save
from safetensors import safe_open
from test_method_placement import hidden_states, small, wrapped
from torch import nn

from launcher.errors import PlanError
from launcher.recipe.method import IA3, OFT, Peft, VeRA
from launcher.recipe.training import Training
from launcher.training.optimiser import build_optimiser

NEW = base.CASES["bert"].new_parameters
SIDE = 32  # of the tiny BERT: 2 layers, 64 inside the feed-forward parts
METHODS: dict[str, tuple[Peft, int, int]] = {
    "ia3": (IA3(), 2 * (32 + 32 + 64), 2 * 3),
    "vera": (VeRA(rank=8), 4 * (8 + 32), 4 * 2 + 2),  # the shared matrices are saved besides
    "oft": (OFT(block_size=8), 4 * 4 * (8 * 7 // 2), 4),
}
"""Each with the parameters that train and the tensors that are saved besides the head's."""
each_method = pytest.mark.parametrize("name", METHODS)


def stepped(method: Peft) -> nn.Module:
    applied = apply(base.build(base.CASES["bert"]), method, ["classifier"])
    base.three_steps(applied)
    return applied


@each_method
def test_identity_exact_count_and_only_the_chosen_move(name: str) -> None:
    method, count, _ = METHODS[name]
    model = base.build(base.CASES["bert"])
    before = base.logits(model)
    applied = apply(model, method, ["classifier"])
    torch.testing.assert_close(base.logits(applied), before, rtol=0, atol=1e-7 if name == "oft" else 0)
    assert base.trainable(applied) == count + NEW
    state = {n: p.detach().clone() for n, p in applied.named_parameters()}
    buffers = {n: b.clone() for n, b in applied.named_buffers()}
    base.three_steps(applied)
    for n, p in applied.named_parameters():
        assert torch.equal(p, state[n]) != p.requires_grad, n
    assert all(torch.equal(b, buffers[n]) for n, b in applied.named_buffers())


@each_method
def test_save_comes_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    method, _, tensors = METHODS[name]
    applied = stepped(method)
    trained = base.logits(applied)
    save(applied, method, tmp_path)
    with safe_open(tmp_path / "adapter_model.safetensors", "pt") as file:
        assert len(list(file.keys())) == tensors + 2
    fresh = base.build(base.CASES["bert"])
    assert not torch.equal(base.logits(fresh), trained)
    loaded = load_saved(fresh, method, ["classifier"], tmp_path)
    assert torch.equal(base.logits(loaded), trained)
    assert base.trainable(loaded) == 0 and not loaded.training


@each_method
def test_shapes_can_be_counted_on_the_meta_device(name: str) -> None:
    method, count, _ = METHODS[name]
    with torch.device("meta"):
        model = base.tiny_bert()
    applied = apply(model, method, ["classifier"])
    assert base.trainable(applied) == count + NEW
    assert {p.device.type for p in applied.parameters()} == {"meta"}


def test_ia3_scales_what_comes_out_of_keys_and_values_and_what_goes_into_the_last_layer() -> None:
    applied = apply(base.build(base.CASES["bert"]), IA3(), ["classifier"])
    layer = applied.get_base_model().bert.encoder.layer[1]
    states = torch.randn(1, 3, 32)
    with torch.no_grad():
        for module, size in ((layer.attention.self.value, 32), (layer.output.dense, 64)):
            states, scales = torch.randn(1, 3, module.in_features), torch.rand(size)
            module.ia3_l["default"].copy_(scales.view(module.ia3_l["default"].shape))
            inner = module.base_layer
            wanted = inner(states * scales) if size == 64 else inner(states) * scales
            torch.testing.assert_close(module(states), wanted)
    assert not hasattr(layer.attention.output.dense, "base_layer")


def test_veras_matrices_are_shared_and_frozen() -> None:
    applied = stepped(VeRA(rank=8))
    layers = [m for m in applied.modules() if hasattr(m, "vera_lambda_b")]
    assert len(layers) == 4 and len({id(m.vera_A["default"]) for m in layers}) == 1
    assert layers[0].vera_A["default"].shape == (8, SIDE) and layers[0].vera_B["default"].shape == (SIDE, 8)
    assert not any("vera_A" in n or "vera_B" in n for n, _ in applied.named_parameters())


def test_oft_turns_and_keeps_the_angles_between_neurons() -> None:
    applied = stepped(OFT(block_size=8))
    for layer in (m for m in applied.modules() if hasattr(m, "oft_R")):
        turn = layer.get_delta_weight("default").detach()
        assert (turn - torch.eye(SIDE)).abs().max() > 1e-3
        torch.testing.assert_close(turn @ turn.T, torch.eye(SIDE), atol=1e-6, rtol=0)
        weight = layer.base_layer.weight.detach()
        torch.testing.assert_close((weight @ turn) @ (weight @ turn).T, weight @ weight.T, atol=1e-6, rtol=0)


ENDS = {
    "bert": ({"key", "value"}, "output.dense"),
    "roberta": ({"key", "value"}, "output.dense"),
    "distilbert": ({"k_lin", "v_lin"}, "ffn.lin2"),
    "gpt2": ({"c_attn"}, "mlp.c_proj"),
    "llama": ({"k_proj", "v_proj"}, "mlp.down_proj"),
    "qwen2": ({"k_proj", "v_proj"}, "mlp.down_proj"),
    "t5": ({"k", "v"}, "DenseReluDense.wo"),
}


@pytest.mark.parametrize("kind", ENDS)
def test_ia3_finds_its_layers(kind: str) -> None:
    model = small(kind) if kind != "t5" else t5()
    applied = apply(model, IA3(), [])
    outputs, last = ENDS[kind]
    names = wrapped(applied)
    inside = [name for name in names if name.endswith(last) and "attention" not in name]
    rest = [name.rpartition(".")[2] for name in names if name not in inside]
    assert set(rest) == outputs and len(inside) == (6 if kind == "t5" else 3)
    scaled = {n: m.is_feedforward for n, m in applied.named_modules() if hasattr(m, "is_feedforward")}
    assert sum(scaled.values()) == len(inside)


def t5() -> nn.Module:
    from transformers import T5Config, T5Model

    return T5Model(T5Config(vocab_size=50, d_model=32, d_ff=64, d_kv=8, num_layers=3, num_heads=4))


@pytest.mark.parametrize("kind", ["roberta", "distilbert", "gpt2", "llama", "qwen2"])
@pytest.mark.parametrize("method", [IA3(), VeRA(rank=4), OFT(block_size=4)], ids=lambda method: method.kind)
def test_other_models_start_as_they_were(kind: str, method: Peft) -> None:
    model = small(kind)
    before = hidden_states(model)
    if kind == "gpt2" and isinstance(method, OFT):
        with pytest.raises(PlanError, match="OFT finds no query and value projections in this 'gpt2' model"):
            apply(model, method, [])
        return
    applied = apply(model, method, []).eval()
    assert (hidden_states(applied) - before).abs().max() <= 1e-6
    assert base.trainable(applied) > 0


def test_oft_turns_static_vectors() -> None:
    case = base.CASES["static"]
    model = base.build(case)
    table = model.embeddings.weight.detach().clone()
    applied = apply(model, OFT(block_size=4), case.new)
    assert base.trainable(applied) == case.new_parameters + 3 * 6
    base.three_steps(applied)
    turned = applied.get_base_model().embeddings(torch.arange(50)).detach()
    assert (turned - table).abs().max() > 1e-3
    torch.testing.assert_close(turned @ turned.T, table @ table.T, atol=1e-5, rtol=1e-5)


def test_blocks_that_do_not_fit_are_told_with_those_that_do() -> None:
    with pytest.raises(PlanError) as caught:
        apply(base.tiny_bert(), OFT(block_size=12), ["classifier"])
    assert "has 32 inputs, which are no whole number of such blocks" in str(caught.value)
    assert "use 8, 16, 4" in str(caught.value)


def test_names_that_are_not_there_are_told_with_those_that_are() -> None:
    with pytest.raises(PlanError, match="IA3 target 'kye' is not a layer of this 'bert' model") as caught:
        apply(base.tiny_bert(), IA3(targets=("kye",)), ["classifier"])
    assert "did you mean 'key'?" in str(caught.value)
    with pytest.raises(PlanError, match="VeRA target 'word_embeddings' is not a linear layer"):
        apply(base.tiny_bert(), VeRA(targets=("word_embeddings",)), ["classifier"])


def test_the_field_that_names_other_layers_is_told() -> None:
    from transformers import FNetConfig, FNetModel

    fnet = FNetModel(FNetConfig(hidden_size=32, num_hidden_layers=1, intermediate_size=64))
    with pytest.raises(PlanError, match=r"VeRA\(targets=…\); there are: dense"):
        apply(fnet, VeRA(), [])
    with pytest.raises(PlanError, match=r"IA3\(feed_forward=…\); there are: dense"):
        apply(fnet, IA3(targets=("dense",)), ["encoder.layer.0.output"])


def test_scales_are_not_decayed_and_turns_are() -> None:
    for method, name in ((IA3(), "ia3_l"), (OFT(block_size=8), "oft_R")):
        applied = apply(base.build(base.CASES["bert"]), method, ["classifier"])
        decayed, plain = build_optimiser(applied, Training(learning_rate=1e-3)).param_groups
        assert (decayed["weight_decay"], plain["weight_decay"]) == (0.01, 0.0)
        own = {id(p) for n, p in applied.named_parameters() if name in n and p.requires_grad}
        group = plain if name == "ia3_l" else decayed
        assert own and own <= {id(p) for p in group["params"]}


def test_what_was_saved_at_another_rank_is_not_loaded(tmp_path: Path) -> None:
    save(stepped(VeRA(rank=8)), VeRA(rank=8), tmp_path)
    with pytest.raises(PlanError, match="r is 8 in the folder and 4 in the recipe"):
        load_saved(base.build(base.CASES["bert"]), VeRA(rank=4), ["classifier"], tmp_path)
