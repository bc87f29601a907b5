"""Prompt and prefix tuning: what trains, what a head sees, what attention does with a prefix, on all bodies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import test_methods as base
import torch
import transformers
from applying import apply, load_saved, save
from families import FAMILIES
from test_method_placement import SIZES
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification

from launcher.errors import PlanError
from launcher.recipe.method import Peft, PrefixTuning, PromptTuning

TOKENS, WIDTH, LAYERS = 3, 32, 2
NEW = base.CASES["bert"].new_parameters
NETWORK = (WIDTH * 8 + 8) + (8 * 8 + 8) + (8 * WIDTH + WIDTH)
METHODS: dict[str, tuple[Peft, int]] = {
    "prompt": (PromptTuning(tokens=TOKENS), TOKENS * WIDTH),
    "p-tuning": (PromptTuning(tokens=TOKENS, hidden=8), TOKENS * WIDTH + NETWORK),
    "prefix": (PrefixTuning(tokens=TOKENS), LAYERS * 2 * TOKENS * WIDTH),
}
"""Each with the parameters that train besides the head's."""
each_method = pytest.mark.parametrize("name", METHODS)
KINDS = {"bert": "classifier", "roberta": "classifier", "distilbert": "", "gpt2": "score", "llama": "score"}
KINDS |= {"qwen2": "score", "electra": "classifier", "albert": "classifier"}


def of_kind(kind: str, head: type = AutoModelForSequenceClassification) -> nn.Module:
    names = {k: v for k, v in SIZES.items() if k != "head_dim"}
    defaults = AutoConfig.for_model(kind)
    known = {**defaults.to_dict(), **getattr(defaults, "attribute_map", {})}
    values = {k: v for k, v in names.items() if k in known}
    values |= {"pad_token_id": 0}
    torch.manual_seed(3)
    return head.from_config(AutoConfig.for_model(kind, **values)).eval()


def new_of(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_children() if name in ("pre_classifier", "classifier", "score")]


def batch() -> dict[str, torch.Tensor]:
    """Four texts of 9 tokens, two of them padded on the right."""
    mask = torch.ones(4, 9, dtype=torch.int64)
    mask[1, 5:] = mask[3, 7:] = 0
    return {"input_ids": base.inputs() * mask, "attention_mask": mask}


@each_method
def test_exact_count_only_the_chosen_move_and_a_save_comes_back(name: str, tmp_path: Path) -> None:
    method, count = METHODS[name]
    case = base.CASES["bert"]
    applied = apply(base.build(case), method, case.new)
    assert base.trainable(applied) == count + NEW
    state = {n: p.detach().clone() for n, p in applied.named_parameters()}
    base.three_steps(applied)
    assert all(torch.equal(p, state[n]) != p.requires_grad for n, p in applied.named_parameters())
    trained = base.logits(applied)
    save(applied, method, tmp_path)
    fresh = base.build(case)
    assert not torch.equal(base.logits(fresh), trained)
    loaded = load_saved(fresh, method, case.new, tmp_path)
    assert torch.equal(base.logits(loaded), trained) and base.trainable(loaded) == 0
    assert all(torch.equal(dict(loaded.named_parameters())[n], p) for n, p in applied.named_parameters())


@each_method
def test_what_trains_whole_inside_the_body_is_found_there(name: str, tmp_path: Path) -> None:
    """A pooler that is new, and pretrained layers that the recipe names."""
    method = replace(METHODS[name][0], also_train=("embeddings.LayerNorm",))
    new = ["classifier", "bert.pooler"]
    applied = apply(base.build(base.CASES["bert"]), method, new)
    assert base.trainable(applied) == METHODS[name][1] + NEW + (WIDTH * WIDTH + WIDTH) + 2 * WIDTH
    base.three_steps(applied)
    trained = base.logits(applied)
    save(applied, method, tmp_path)
    assert torch.equal(base.logits(load_saved(base.build(base.CASES["bert"]), method, new, tmp_path)), trained)


@each_method
def test_disabled_it_is_the_base(name: str) -> None:
    model = base.build(base.CASES["bert"])
    before = base.logits(model)
    applied = apply(model, METHODS[name][0], ["classifier"])
    with applied.disable_adapter():
        assert (base.logits(applied) - before).abs().max() <= 1e-6


@each_method
def test_shapes_can_be_counted_on_the_meta_device(name: str) -> None:
    method, count = METHODS[name]
    with torch.device("meta"):
        applied = apply(base.tiny_bert(), method, ["classifier"])
    assert base.trainable(applied) == count + NEW
    assert {p.device.type for p in applied.parameters()} == {"meta"}


@pytest.mark.parametrize("kind", KINDS)
@each_method
def test_every_head_sees_as_many_states_as_there_are_tokens_and_padding_stays_hidden(name: str, kind: str) -> None:
    for head in (AutoModelForSequenceClassification, AutoModelForTokenClassification):
        model = of_kind(kind, head)
        before = model(**batch()).logits
        applied = apply(model, METHODS[name][0], new_of(model)).eval()
        with torch.no_grad():
            logits = applied(**batch()).logits
            cut = {key: value[1:2, :5] for key, value in batch().items()}
            alone = applied(**cut).logits[0]
        assert logits.shape == before.shape and (logits - before).abs().max() > 1e-6
        there = logits[1] if head is AutoModelForSequenceClassification else logits[1, :5]
        torch.testing.assert_close(alone, there, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2"])
def test_a_prefix_is_what_attention_sees_before_the_text(kind: str) -> None:
    """Of a prefix whose values are zero and whose keys are far from all queries nothing is left."""
    model = of_kind(kind)
    with torch.no_grad():
        before = model(**batch()).logits
        applied = apply(model, PrefixTuning(tokens=TOKENS), new_of(model)).eval()
        parts = [m for m in applied.modules() if type(m).__name__ == "Prefix"]
        assert len(parts) == 3
        for part in parts:
            part.keys.zero_(), part.values.zero_()
        diluted = applied(**batch()).logits
        hidden = [m for m in applied.modules() if type(m).__name__ == "PrefixedAttention"]
        for layer in hidden:
            layer._disable_adapters = True
        torch.testing.assert_close(applied(**batch()).logits, before, atol=1e-6, rtol=0)
    assert (diluted - before).abs().max() > 1e-6, "zeros take a part of the attention too"


def test_a_prompt_stands_behind_the_first_token_of_an_encoder_and_before_that_of_a_decoder() -> None:
    places = {}
    for kind in ("bert", "roberta", "distilbert", "llama", "gpt2", "qwen2"):
        model = of_kind(kind)
        applied = apply(model, PromptTuning(tokens=TOKENS), new_of(model))
        (body,) = [m for m in applied.modules() if type(m).__name__ == "PromptedBody"]
        places[kind] = body.place
    assert places == {"bert": 1, "roberta": 1, "distilbert": 1, "llama": 0, "gpt2": 0, "qwen2": 0}


def of_family(name: str) -> nn.Module:
    kind, settings, _ = FAMILIES[name]
    torch.manual_seed(3)
    config = getattr(transformers, f"{kind}Config")(vocab_size=100, **{**settings, "pad_token_id": 0})
    return AutoModelForSequenceClassification.from_config(config).eval()


@pytest.mark.parametrize(("family", "name"), [("Longformer", "prompt"), ("CTRL", "prefix")])
def test_a_family_with_habits_of_its_own_takes_them(family: str, name: str) -> None:
    """One fills up its windows by itself, the other has its own names for projections."""
    model = of_family(family)
    with torch.no_grad():
        before = model(**batch()).logits
        applied = apply(model, METHODS[name][0], [n for n, _ in model.named_children() if n == "classifier"]).eval()
        logits, cut = applied(**batch()).logits, {key: value[1:2, :5] for key, value in batch().items()}
        torch.testing.assert_close(applied(**cut).logits[0], logits[1], atol=1e-5, rtol=0)
    assert (logits - before).abs().max() > 1e-6


def test_a_prompt_begins_as_what_the_table_gives() -> None:
    """Gemma 3's scales its rows."""
    model = of_kind("gemma3_text")
    torch.manual_seed(0)
    (prompt,) = [m for m in apply(model, PromptTuning(tokens=TOKENS), []).modules() if type(m).__name__ == "Prompt"]
    torch.manual_seed(0)
    rows = model.get_input_embeddings().weight[torch.randint(50, (TOKENS,))]
    torch.testing.assert_close(prompt.vectors, rows * WIDTH**0.5)


def test_a_prompt_computes_as_its_tokens_would() -> None:
    """A prompt of rows of the table is the text with these tokens in it."""
    model = of_kind("bert")
    tokens = torch.tensor([7, 8, 9])
    ids = base.inputs()
    longer = torch.cat([ids[:, :1], tokens.expand(4, -1), ids[:, 1:]], dim=1)
    with torch.no_grad():
        wanted = model(input_ids=longer).logits
        applied = apply(model, PromptTuning(tokens=3), ["classifier"]).eval()
        (prompt,) = [m for m in applied.modules() if type(m).__name__ == "Prompt"]
        prompt.vectors.copy_(applied.get_base_model().get_input_embeddings().weight[tokens])
        torch.testing.assert_close(applied(input_ids=ids).logits, wanted, atol=1e-6, rtol=0)


def test_models_that_take_none_are_refused() -> None:
    from transformers import T5Config, T5ForSequenceClassification, T5ForTokenClassification

    config = T5Config(vocab_size=50, d_model=32, d_ff=64, d_kv=8, num_layers=2, num_heads=4)
    for method in (PromptTuning(), PrefixTuning()):
        with pytest.raises(PlanError, match=f"{method.kind} is for models of one stack; this 't5' has two"):
            apply(T5ForSequenceClassification(config), method, ["classification_head"])
    with pytest.raises(PlanError, match="'t5' compute attention in a way that takes no prefixes"):
        apply(T5ForTokenClassification(config), PrefixTuning(), ["classifier"])
    with pytest.raises(PlanError, match="finds no projections of values in this 'xlnet' model") as caught:
        apply(of_family("XLNet"), PrefixTuning(), ["logits_proj"])
    assert "use another method, such as LoRA" in str(caught.value)
    with pytest.raises(PlanError, match="'deberta-v2' compute attention in a way that takes no prefixes"):
        apply(of_kind("deberta-v2"), PrefixTuning(), ["classifier"])
