"""Every model type that the adapter knows, built small: the right layers are wrapped, LoRA finds its own."""

from __future__ import annotations

import re

import pytest
import torch
from applying import apply
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from launcher.errors import PlanError
from launcher.recipe.method import Adapter, LoRA
from launcher.training.methods.adapter import LAYOUTS
from launcher.training.methods.bottleneck import LAST_NUMBER

torch.set_num_threads(1)

DEPTH = 3
HIDDEN = 32
SIZES: dict[str, int] = {
    # The same few sizes, under every name that the families have for them.
    **dict.fromkeys(("hidden_size", "dim", "n_embd", "embedding_size"), HIDDEN),
    **dict.fromkeys(("num_hidden_layers", "n_layers", "n_layer"), DEPTH),
    **dict.fromkeys(("num_attention_heads", "n_heads", "n_head"), 4),
    **dict.fromkeys(("intermediate_size", "hidden_dim", "n_inner"), 64),
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 100,
    "image_size": 32,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 1),
}
PLACES = {
    "distilbert": ("transformer.layer.{}.attention.out_lin", "transformer.layer.{}.ffn.lin2"),
    "gpt2": ("h.{}.attn.c_proj", "h.{}.mlp.c_proj"),
    "llama": ("layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj"),
    "roberta": ("encoder.layer.{}.attention.output.dense", "encoder.layer.{}.output.dense"),
}


def small(model_type: str) -> PreTrainedModel:
    defaults = AutoConfig.for_model(model_type)
    names = {**defaults.to_dict(), **getattr(defaults, "attribute_map", {})}
    config = AutoConfig.for_model(model_type, **{k: v for k, v in SIZES.items() if k in names})
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModel.from_config(config)
    return model.eval()


def hidden_states(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        images = model.config.model_type == "vit"
        given = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
        out = model(pixel_values=given) if images else model(torch.tensor([[2, 5, 9, 7], [3, 8, 4, 6]]))
    states: torch.Tensor = out.last_hidden_state
    return states


def wrapped(model: nn.Module) -> list[str]:
    ending = ".base_layer"
    return [
        name.removeprefix("base_model.model.").removesuffix(ending)
        for name, _ in model.named_modules()
        if name.endswith(ending)
    ]


def test_the_table_is_whole() -> None:
    assert len(LAYOUTS) == 23


@pytest.mark.parametrize("model_type", sorted(LAYOUTS))
def test_houlsby_has_twice_the_adapters_of_pfeiffer(model_type: str) -> None:
    found = {}
    for placement in ("pfeiffer", "houlsby"):
        model = small(model_type)
        before = hidden_states(model)
        applied = apply(model, Adapter(bottleneck=4, placement=placement), []).eval()
        assert torch.equal(hidden_states(applied), before)
        found[placement] = wrapped(applied)
        count = sum(p.numel() for p in applied.parameters() if p.requires_grad)
        assert count == len(found[placement]) * (HIDDEN * 4 + 4 + 4 * HIDDEN + HIDDEN)
    depth = 1 if model_type == "albert" else DEPTH
    assert len(found["pfeiffer"]) == depth and len(found["houlsby"]) == 2 * depth
    assert set(found["pfeiffer"]) < set(found["houlsby"])


@pytest.mark.parametrize("model_type", sorted(LAYOUTS))
def test_beside_the_feed_forward_part(model_type: str) -> None:
    """What goes in there goes through the bottleneck too, and both come out together (He et al. 2022, table 1)."""
    model = small(model_type)
    before = hidden_states(model)
    applied = apply(model, Adapter(bottleneck=4, placement="parallel", scale=4.0), []).eval()
    assert torch.equal(hidden_states(applied), before)
    layers = [m for m in applied.modules() if hasattr(m, "bottleneck_down")]
    assert sum(p.numel() for p in applied.parameters() if p.requires_grad) == len(layers) * (
        2 * HIDDEN * 4 + 4 + HIDDEN
    )
    assert len(layers) == (1 if model_type == "albert" else DEPTH)
    heard: list[torch.Tensor] = []
    entry = applied.get_submodule(LAST_NUMBER.match(name_of(applied, layers[0])).group() + LAYOUTS[model_type].entry)
    entry.register_forward_hook(lambda module, inputs, output: heard.append(inputs[0]))
    given: list[torch.Tensor] = []
    layers[0].base_layer.register_forward_hook(lambda module, inputs, output: given.append(output))
    out: list[torch.Tensor] = []
    layers[0].register_forward_hook(lambda module, inputs, output: out.append(output))
    torch.nn.init.normal_(layers[0].bottleneck_up["default"].weight)
    assert not torch.equal(hidden_states(applied), before)
    down, up = layers[0].bottleneck_down["default"], layers[0].bottleneck_up["default"]
    with torch.no_grad():
        wanted = given[0] + 4.0 * up(nn.functional.gelu(down(heard[0])))
    torch.testing.assert_close(out[0], wanted)
    assert layers[0].entered is None, "what went in is not kept"


def name_of(model: nn.Module, wanted: nn.Module) -> str:
    return next(name for name, module in model.named_modules() if module is wanted)


@pytest.mark.parametrize("model_type", PLACES)
def test_the_very_layers(model_type: str) -> None:
    attention, feed_forward = PLACES[model_type]
    numbers = range(DEPTH)
    assert set(wrapped(apply(small(model_type), Adapter(), []))) == {feed_forward.format(i) for i in numbers}
    houlsby = Adapter(placement="houlsby")
    assert set(wrapped(apply(small(model_type), houlsby, []))) == {
        place.format(i) for i in numbers for place in (attention, feed_forward)
    }


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("model_type", sorted(LAYOUTS))
def test_lora_finds_query_and_value(model_type: str) -> None:
    model = small(model_type)
    before = hidden_states(model)
    applied = apply(model, LoRA(rank=2), []).eval()
    assert torch.equal(hidden_states(applied), before)
    names = {name.rpartition(".")[2] for name in wrapped(applied)}
    assert all(re.match("q|Wqkv|c_attn|in_proj|v", name) for name in names)
    layers = 1 if model_type == "albert" else DEPTH
    assert len(wrapped(applied)) == layers * len(names)


def test_gradients_reach_every_adapter_and_nothing_else() -> None:
    for model_type in PLACES:
        applied = apply(small(model_type), Adapter(bottleneck=4, placement="houlsby"), [])
        out = applied(torch.tensor([[2, 5, 9, 7]])).last_hidden_state
        (out * torch.randn_like(out)).sum().backward()
        for name, p in applied.named_parameters():
            assert (p.grad is not None) == ("bottleneck_" in name), name


def distilbert() -> PreTrainedModel:
    return DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=100, dim=32, n_layers=2, n_heads=4, hidden_dim=64)
    )


def test_a_name_that_ends_alike_is_not_trained_by_chance() -> None:
    with pytest.raises(PlanError, match="would train 'pre_classifier' too"):
        apply(distilbert(), LoRA(), ["classifier"])
    applied = apply(distilbert(), LoRA(rank=2), ["pre_classifier", "classifier"])
    trained = sum(p.numel() for p in applied.parameters() if p.requires_grad)
    assert trained == 2 * 2 * 2 * (32 + 32) + (32 * 32 + 32) + (32 * 2 + 2)


@pytest.mark.parametrize("model_type", ["gpt2", "llama"])
def test_the_score_head_of_decoders_trains_whole(model_type: str) -> None:
    config = AutoConfig.for_model(model_type, **{k: v for k, v in SIZES.items() if k != "head_dim"})
    model = AutoModelForSequenceClassification.from_config(config)
    applied = apply(model, Adapter(bottleneck=4), ["score"])
    trained = sum(p.numel() for p in applied.parameters() if p.requires_grad)
    assert trained == DEPTH * (HIDDEN * 4 + 4 + 4 * HIDDEN + HIDDEN) + HIDDEN * 2


class OddConfig(PreTrainedConfig):
    model_type = "robertta"


class OddModel(PreTrainedModel):
    config_class = OddConfig

    def __init__(self, config: OddConfig) -> None:
        super().__init__(config)
        self.mixer = nn.Linear(4, 4)


def test_an_unknown_type_is_refused_with_the_types_known() -> None:
    with pytest.raises(PlanError) as caught:
        apply(OddModel(OddConfig()), Adapter(), [])
    text = str(caught.value)
    assert "'robertta'" in text and "did you mean 'roberta'?" in text
    assert all(model_type in text for model_type in [*LAYOUTS, "static_vectors"])


def test_lora_says_what_layers_there_are_where_it_finds_none() -> None:
    with pytest.raises(PlanError, match="no query and value projections in this 'robertta' model") as caught:
        apply(OddModel(OddConfig()), LoRA(), [])
    assert "there are: mixer" in str(caught.value)


def test_a_known_type_without_its_layers() -> None:
    config = OddConfig()
    config.model_type = "bert"
    with pytest.raises(PlanError, match="finds none of its layers in this 'bert' model"):
        apply(OddModel(config), Adapter(), [])
