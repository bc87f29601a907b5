"""Methods on encoder-decoders of other families than BART: which layers they change, saved, read back and proven."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from families import make
from matrix import outcome, recipe_of, write_data

from launcher.recipe.method import Adapter, Full, HeadOnly, LoRA, QLoRA, TopLayers
from launcher.training.methods import method_work
from launcher.training.methods.adapter import TWO_STACKS
from launcher.training.methods.layers import packable

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stacks")
    write_data(folder)
    for family in ("T5", "mT5", "BERT"):
        make(family, folder / family, speaking=family != "BERT")
    return folder


CASES = [
    ("T5", LoRA(rank=2)),
    ("T5", QLoRA(rank=2)),
    ("T5", TopLayers(layers=1)),
    ("T5", Adapter(bottleneck=4, placement="parallel")),
    ("mT5", Adapter(bottleneck=4, placement="parallel")),
    ("BERT", Full()),
    ("BERT", LoRA(rank=2)),
    ("BERT", Adapter(bottleneck=4, placement="houlsby")),
]


@pytest.mark.parametrize(("family", "method"), CASES, ids=[f"{name}-{type(one).__name__}" for name, one in CASES])
def test_a_method_trains_and_is_proven(family, method, data, tmp_path, cache) -> None:
    if isinstance(method, QLoRA):
        pytest.importorskip("bitsandbytes")
    recipe = recipe_of("translated", data, str(data / family), method)
    if family == "BERT":
        recipe = replace(recipe, embedding=replace(recipe.embedding, decoder=str(data / family)))
    assert outcome(recipe, tmp_path / "model") == "trains"


def trained(model, method) -> set[str]:
    applied = method_work(method).apply(model, [])
    return {name for name, parameter in applied.named_parameters() if parameter.requires_grad}


def t5():
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    model = T5ForConditionalGeneration(T5Config(**sizes))
    model._head_is_its_own = True
    return model


def test_the_top_of_two_stacks_is_that_which_writes() -> None:
    names = trained(t5(), TopLayers(layers=1))
    assert names and all(name.startswith("decoder.block.1.") for name in names)


def test_the_head_of_t5_is_its_table_of_tokens() -> None:
    with pytest.raises(Exception, match="that of this 't5' model is its table of tokens"):
        trained(t5(), HeadOnly())


def test_lora_changes_query_and_value_of_both_stacks() -> None:
    layers = {name.partition(".lora")[0].removeprefix("base_model.model.") for name in trained(t5(), LoRA(rank=2))}
    assert len(layers) == 12 and {name.rpartition(".")[2] for name in layers} == {"q", "v"}
    assert {name.partition(".")[0] for name in layers} == {"encoder", "decoder"}


def test_layers_that_their_family_looks_at_are_not_packed() -> None:
    names = {name.rpartition(".")[2] for name in packable(t5(), [])}
    assert "wo" not in names and {"q", "k", "v", "o", "wi"} <= names


@pytest.mark.parametrize("kind", sorted(TWO_STACKS))
def test_an_adapter_stands_behind_each_part_of_both_stacks(kind: str) -> None:
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 40}
    sizes |= {f"{stack}_layers": 2 for stack in ("encoder", "decoder")}
    sizes |= {f"{stack}_attention_heads": 2 for stack in ("encoder", "decoder")}
    known = AutoConfig.for_model(kind).to_dict()
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    model = AutoModelForSeq2SeqLM.from_config(
        AutoConfig.for_model(kind, **special, **{name: size for name, size in sizes.items() if name in known})
    )
    names = trained(model, Adapter(bottleneck=4, placement="houlsby"))
    places = {name.partition(".bottleneck")[0] for name in names}
    assert len(places) == 2 * (2 + 3) and sum(".encoder." in name for name in places) == 2 * 2
