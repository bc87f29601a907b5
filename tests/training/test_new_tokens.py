"""Tokens that are added to a pretrained model: their rows alone train beside the frozen table, and are saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_bert import make_bert

from launcher import Pretrained, TextClassification, predict
from launcher.errors import DataError
from launcher.json_files import read_json, write_json
from launcher.recipe.later import as_digested
from launcher.recipe.recipe import load
from launcher.training.memory.facts import model_facts
from launcher.training.model_parts.grown_table import GrownTable, grow
from launcher.training.prepare import prepare
from launcher.training.result.model_folder import load_saved_model
from launcher.training.sources import build_model, build_tokenizer, lines_of

ADDED = "bert.embeddings.word_embeddings.added"
STEPS, NEW, WIDTH = 6, 2, 32


def test_ids_of_new_tokens_are_looked_up_in_rows_of_their_own() -> None:
    own = torch.nn.Embedding(10, 4)
    table = GrownTable(own, 8, 3)  # a table with more rows than its tokenizer has tokens
    assert torch.equal(table.added.weight, own.weight.mean(0).expand(3, -1))
    with torch.no_grad():
        table.added.weight.copy_(torch.arange(12.0).view(3, 4))
    ids = torch.tensor([[0, 7, 8], [10, 9, 3]])
    vectors = table(ids)
    assert torch.equal(vectors[0, :2], own.weight[[0, 7]]) and torch.equal(vectors[1, 2], own.weight[3])
    assert torch.equal(vectors[0, 2], table.added.weight[0]) and torch.equal(vectors[1, :2], table.added.weight[[2, 1]])
    vectors.sum().backward()
    assert own.weight.grad[8:].abs().sum() == 0 and table.added.weight.grad.ne(0).any(1).all()


def test_a_row_starts_as_the_mean_of_its_pieces() -> None:
    own = torch.nn.Embedding(10, 4)
    table = GrownTable(own, 10, 3, [[1, 4], [], [7]])
    assert torch.equal(table.added.weight[0], (own.weight[1] + own.weight[4]) / 2)
    assert torch.equal(table.added.weight[1], own.weight.mean(0)) and torch.equal(table.added.weight[2], own.weight[7])


def test_a_description_says_how_a_token_starts_and_it_is_told(tmp_path) -> None:
    bert = str(make_bert(tmp_path / "bert", ["start", "of", "entity"]))
    source = Pretrained(model=bert, new_tokens={"[E1]": "start of entity", "of entity": "", "<url>": ""})
    build_tokenizer(source, TextClassification(), (), tmp_path)
    added = read_json(tmp_path / "tokenizer" / "new_tokens.json")
    assert added == {"first": 7, "count": 3, "pieces": [[4, 5, 6], [5, 6], []]}
    (line,) = lines_of(tmp_path)
    assert line == (
        "new tokens: 3, whose rows start as the mean of: [E1] = start of entity; of entity = of entity; "
        "<url> = all rows, as none of its pieces is known"
    )
    model = build_model(source, TextClassification(), ("a", "b"), tmp_path, None)
    table = model.get_input_embeddings()
    assert torch.allclose(table(torch.tensor([7])), table.own.weight[[4, 5, 6]].mean(0))


SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
STACKS = {"decoder_layers": 1, "encoder_layers": 1, "decoder_attention_heads": 2, "encoder_attention_heads": 2}
SPEAKING = {
    "BertForMaskedLM": ("BertConfig", SMALL),
    "GPT2LMHeadModel": ("GPT2Config", {"n_embd": 16, "n_layer": 1, "n_head": 2}),
    "LlamaForCausalLM": ("LlamaConfig", SMALL),
    "T5ForConditionalGeneration": ("T5Config", {"d_model": 16, "d_kv": 8, "num_layers": 1, "num_heads": 2}),
    "MarianMTModel": ("MarianConfig", {"d_model": 16, "pad_token_id": 0, **STACKS}),
}


@pytest.mark.parametrize("tokens", [12, 20])
@pytest.mark.parametrize("name", SPEAKING)
def test_a_language_model_can_say_them(name, tokens, tmp_path) -> None:
    import transformers

    config, sizes = SPEAKING[name]
    torch.manual_seed(1)
    model = getattr(transformers, name)(getattr(transformers, config)(vocab_size=tokens, **sizes)).eval()
    write_json(tmp_path / "new_tokens.json", {"first": 12, "count": 2, "pieces": [[5, 6], [7]]})
    ids = torch.tensor([[3, 7, 5]])
    given = {"input_ids": ids, **({"decoder_input_ids": ids} if model.config.is_encoder_decoder else {})}
    before = model(**given).logits
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied == (name != "LlamaForCausalLM")
    grow(model, tmp_path)
    after = model(**given).logits
    assert after.shape == (1, 3, 14) and torch.equal(after[..., :12], before[..., :12])
    assert torch.allclose(after[..., 13], before[..., 7], atol=1e-6), "it starts as its one piece"
    assert torch.allclose(after[..., 12], before[..., 5:7].mean(-1), atol=1e-6)
    rows = model.get_input_embeddings().added if tied else model.get_output_embeddings().added
    with torch.no_grad():
        rows.weight[0] = model.get_output_embeddings().own.weight[9]
    assert torch.allclose(model(**given).logits[..., 12], before[..., 9], atol=1e-6), "by the row that it is read by"
    assert len(model._new_modules) == (1 if tied else 2)


@pytest.mark.parametrize(
    ("model", "tables", "strategy"), [("filled", 1, "fsdp2"), ("filled", 1, "zero3"), ("continued", 2, "fsdp2")]
)
def test_alone_they_train_in_a_language_model_that_says_them(warm, model, tables, strategy) -> None:
    """Of a head that is tied to the table and of one that is not."""
    alone = warm.finished(model, "NewTokens()", max_steps=STEPS)
    run = warm.finished(model, "NewTokens()", strategy, 2, max_steps=STEPS)
    assert np.abs(np.array(run.losses) - alone.losses).max() <= 1e-5
    assert np.ptp(alone.losses) > 1e-3
    for one in (alone, run):
        assert one.outcome["parameters"]["trainable"] == tables * NEW * WIDTH
        saved = load_file(one.folder.model / "adapter_model.safetensors")
        assert [tuple(rows.shape) for rows in saved.values()] == tables * [(NEW, WIDTH)], "and nothing else"
        assert one.outcome["proof"]["largest_logit_difference"] <= 1e-5


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", "zero3"])
def test_only_their_rows_train_and_the_curve_is_one(warm, strategy) -> None:
    alone = warm.finished("grown", "LoRA", max_steps=STEPS)
    run = warm.finished("grown", "LoRA", strategy, 2, max_steps=STEPS)
    assert np.abs(np.array(run.losses) - alone.losses).max() <= 1e-5
    assert np.ptp(alone.losses) > 1e-3
    without = warm.finished("bert", "LoRA", max_steps=STEPS)
    for one in (alone, run):
        parameters = one.outcome["parameters"]
        assert parameters["trainable"] == without.outcome["parameters"]["trainable"] + NEW * WIDTH


def test_they_are_saved_beside_the_base_as_it_was(warm) -> None:
    run = warm.finished("grown", "LoRA", "fsdp2", 2, max_steps=STEPS)
    begun = load_file(f"{warm.bert}/model.safetensors")["embeddings.word_embeddings.weight"]
    saved = load_file(run.folder.model / "adapter_model.safetensors")
    (rows,) = [value for name, value in saved.items() if ADDED in name]
    assert rows.shape == (NEW, WIDTH) and not torch.equal(rows[0], rows[1]), "they start alike and train"
    assert (rows - begun.mean(0)).abs().max() > 1e-4
    table = load_saved_model(run.folder.model).model.get_base_model().get_input_embeddings()
    assert torch.equal(table.own.weight, begun)
    assert run.outcome["proof"]["largest_logit_difference"] <= 1e-5
    (answer,) = predict(run.folder.path, ["word2 word14 word6"])
    assert answer["label"] in ("good", "bad")


def test_texts_are_cut_at_them(warm) -> None:
    run = warm.finished("grown", "LoRA", max_steps=STEPS)
    tokenizer = load_saved_model(run.folder.model).work.tokenizer
    ids = tokenizer("word14 word3")["input_ids"]
    assert "d1" in tokenizer.convert_ids_to_tokens(ids)
    assert tokenizer.convert_tokens_to_ids(["d1", "d2"]) == [len(tokenizer) - NEW, len(tokenizer) - 1]


def test_memory_is_planned_with_them(warm) -> None:
    run = warm.finished("grown", "LoRA", max_steps=STEPS)
    recipe = load(Path(run.plan["recipe"]), run.plan["overrides"]).recipe
    assert model_facts(recipe, prepare(recipe))["parameters"] == run.outcome["parameters"]


@pytest.mark.parametrize("method", ["PromptTuning(tokens=2)", "Adapter(bottleneck=4)", "PrefixTuning(tokens=2)"])
def test_other_methods_beside_a_frozen_model_take_them_too(warm, method) -> None:
    run = warm.finished("grown", method, max_steps=STEPS)
    saved = load_file(run.folder.model / "adapter_model.safetensors")
    assert sum("word_embeddings.added" in name for name in saved) == 1


def test_tokens_that_are_there_already_are_named(warm) -> None:
    recipe = warm.recipe("grown", "LoRA").read_text().replace("'d1', 'd2'", "'d1', 'word2', 'word4'")
    path = warm.folder / "there.py"
    path.write_text(recipe)
    with pytest.raises(DataError) as caught:
        prepare(load(path, {}).recipe)
    (problem,) = caught.value.problems
    assert problem.what.startswith("new_tokens must be new to the tokenizer of ")
    assert problem.what.endswith("not 'word2', 'word4'")


def test_a_digest_is_what_it_was_where_there_are_none() -> None:
    assert as_digested({"kind": "Pretrained", "model": "m", "new_tokens": []}) == {"kind": "Pretrained", "model": "m"}
    assert "new_tokens" in as_digested({"kind": "Pretrained", "model": "m", "new_tokens": ["a"]})
