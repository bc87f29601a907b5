"""BitFit, TopLayers, HeadOnly and Freeze on real models: what trains by exact number, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from applying import apply, load_saved, save
from test_method_placement import DEPTH, SIZES, small
from test_methods import CASES, build, inputs, logits, three_steps, tiny_bert, trainable
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from launcher.errors import PlanError
from launcher.recipe.method import BitFit, Freeze, Full, HeadOnly, Peft, TopLayers
from launcher.training.methods.adapter import LAYOUTS

torch.set_num_threads(1)

HEAD = 32 * 3 + 3
LAYER = 4 * (32 * 32 + 32) + 2 * 32 + (32 * 64 + 64) + (64 * 32 + 32) + 2 * 32
POOLER = 32 * 32 + 32
EMBEDDINGS = 100 * 32 + 512 * 32 + 2 * 32 + 2 * 32
LAYER_BIASES = 4 * 32 + 32 + 64 + 32 + 32
"""Query, key, value and output; the normalisation after them; the feed-forward part; the normalisation after it."""
WHOLE = EMBEDDINGS + 2 * LAYER + POOLER + HEAD
BERT: list[tuple[Peft, int]] = [
    (BitFit(), 2 * LAYER_BIASES + 32 + 32 + HEAD),
    (TopLayers(layers=1), LAYER + HEAD),
    (TopLayers(), 2 * LAYER + HEAD),
    (HeadOnly(), HEAD),
    (Freeze(pattern="embeddings"), WHOLE - EMBEDDINGS),
    (Freeze(pattern="bert.embeddings.word_embeddings.weight"), WHOLE - 100 * 32),
    (Freeze(pattern="layer.[0-9]"), WHOLE - 2 * LAYER),
    (Freeze(pattern=("layer.0", "pooler", "embeddings")), LAYER + HEAD),
    (Freeze(pattern="bert"), HEAD),
    (Freeze(pattern="*.attention.self.?u*.bias"), WHOLE - 2 * 32),
    (Full(), WHOLE),
]
STATIC: list[tuple[Peft, int]] = [(HeadOnly(), 12 * 16 + 16 + 16 * 3 + 3), (Freeze(pattern="embeddings"), 259)]


def moved(model: torch.nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


@pytest.mark.parametrize(
    ("kind", "method", "count"),
    [("bert", *row) for row in BERT] + [("static", *row) for row in STATIC],
    ids=lambda value: str(value)[:60],
)
def test_exactly_so_many_train_and_only_these_move(kind: str, method: Peft, count: int) -> None:
    model, new = build(CASES[kind]), CASES[kind].new
    begun = logits(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert apply(model, method, new) is model
    assert torch.equal(logits(model), begun)
    assert trainable(model) == count
    three_steps(model)
    assert moved(model, before) == {name for name, p in model.named_parameters() if p.requires_grad}


def test_the_very_parameters() -> None:
    model = apply(tiny_bert(), TopLayers(layers=1), ["classifier"])
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {".".join(name.split(".")[:4]) for name in trained} == {
        "bert.encoder.layer.1",
        "classifier.weight",
        "classifier.bias",
    }
    model = apply(tiny_bert(), BitFit(), ["classifier"])
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen and all(name.endswith(".weight") for name in frozen)


@pytest.mark.parametrize("model_type", sorted({*LAYOUTS} - {"albert"}))
def test_top_layers_finds_the_layers_of_every_type(model_type: str) -> None:
    model = small(model_type)
    apply(model, TopLayers(layers=1), [])
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    numbers = {next(part for part in name.split(".") if part.isdigit()) for name in trained}
    assert numbers == {str(DEPTH - 1)} and len(trained) >= 4
    with pytest.raises(PlanError, match=rf"TopLayers\(layers=9\): this '{model_type}' model has {DEPTH}"):
        apply(model, TopLayers(layers=9), [])


@pytest.mark.parametrize("method", [method for method, _ in BERT], ids=lambda value: str(value)[:60])
def test_the_saved_folder_is_a_whole_model_for_transformers(method: Peft, tmp_path: Path) -> None:
    model = apply(build(CASES["bert"]), method, ["classifier"])
    three_steps(model)
    save(model, method, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(logits(loaded), logits(model))
    with pytest.raises(ValueError, match="from_pretrained"):
        load_saved(tiny_bert(), method, ["classifier"], tmp_path)


def refusal(model: PreTrainedModel, method: Peft) -> str:
    with pytest.raises(PlanError) as caught:
        apply(model, method, ["classifier"])
    return str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("embedings", "did you mean 'embeddings'?"),
        ("bert.encoder.layers.0", "did you mean 'bert.encoder.layer.0'?"),
        ("layer.7", "did you mean 'layer."),
        ("vision", "known: bert, bert.embeddings, bert.encoder, bert.pooler"),
        ("mbeddings", "did you mean 'embeddings'?"),
        ("", "known: bert, "),
    ],
)
def test_a_pattern_that_names_nothing(pattern: str, told: str) -> None:
    text = refusal(tiny_bert(), Freeze(pattern=(pattern, "pooler")))
    assert f"Freeze pattern {pattern!r} names nothing in this 'bert' model" in text
    assert told in text and "'pooler'" not in text


def test_new_layers_cannot_be_frozen() -> None:
    assert "Freeze pattern 'classifier' names new layers only" in refusal(tiny_bert(), Freeze(pattern="classifier"))
    model = apply(tiny_bert(), Freeze(pattern="*"), ["classifier"])
    assert trainable(model) == HEAD


def test_a_model_without_biases() -> None:
    config = AutoConfig.for_model("llama", **{k: v for k, v in SIZES.items() if k != "head_dim"})
    model = AutoModelForSequenceClassification.from_config(config)
    assert "this 'llama' model has none" in refusal(model, BitFit())


@pytest.mark.parametrize("model", [build(CASES["static"]), small("albert")], ids=["static", "one layer used often"])
def test_a_model_without_a_row_of_layers(model: PreTrainedModel) -> None:
    told = f"TopLayers finds no row of equal layers in this {model.config.model_type!r} model"
    assert told in refusal(model, TopLayers())


def test_what_is_frozen_keeps_nothing_for_the_backward_pass() -> None:
    model = apply(tiny_bert(), TopLayers(layers=1), ["classifier"])
    below = model.bert.encoder.layer[0].register_forward_hook(lambda _, __, out: seen.append(out))
    seen: list[torch.Tensor] = []
    model.train()(inputs())
    below.remove()
    assert [out.requires_grad for out in seen] == [False]
