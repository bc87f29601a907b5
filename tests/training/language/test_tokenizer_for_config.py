"""Tokenizers of models that are drawn: trained on the corpus, with the signs that the kind of model needs."""

import pytest

from launcher import CausalLanguageModel, DataError, Dialogue, FromConfig, TrainedTokenizer
from launcher.training.sources import chat_template, load_tokenizer
from launcher.training.sources.tokenizer_for_config import drawn_config, save

TEXTS = ["the cat sat on the mat", "the dog ran", "今天天气很好,我们去公园。"] * 20
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
KINDS = {
    "llama": {**SIZES, "num_key_value_heads": 1, "max_position_embeddings": 48},
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 1, "n_positions": 48},
    "bert": {**SIZES, "max_position_embeddings": 48},
    "roberta": {**SIZES, "max_position_embeddings": 50},
    "t5": {"d_model": 16, "d_ff": 16, "d_kv": 8, "num_layers": 1, "num_heads": 2},
    "bart": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 48},
}
AROUND = {
    "llama": ([], []),
    "gpt2": ([], []),
    "bert": (["[CLS]"], ["[SEP]"]),
    "roberta": (["<s>"], ["</s>"]),
    "t5": ([], ["</s>"]),
    "bart": ([], ["</s>"]),
}


def _source(kind, pieces, **values):
    config = {"model_type": kind, **KINDS[kind], **values}
    return FromConfig(config=config, tokenizer=TrainedTokenizer(tokens=400, pieces=pieces))


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_is_framed_as_the_kind_of_model_has_it(kind, tmp_path):
    pieces = "wordpiece" if kind == "bert" else "bytes"
    source = _source(kind, pieces)
    longest = save(source, CausalLanguageModel(), iter(TEXTS), tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert longest == {"t5": 512, "roberta": 48}.get(kind, 48)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("the cat")["input_ids"])
    before, after = AROUND[kind]
    assert tokens[: len(before)] == before and tokens[len(tokens) - len(after) :] == after
    config = drawn_config(source, tmp_path)
    assert config.vocab_size == len(tokenizer)
    assert config.pad_token_id == tokenizer.pad_token_id is not None
    if config.is_encoder_decoder:
        assert config.decoder_start_token_id == (tokenizer.pad_token_id if kind == "t5" else tokenizer.bos_token_id)


@pytest.mark.parametrize("pieces", ["bytes", "unigram", "wordpiece"])
def test_what_was_trained_on_comes_back(pieces, tmp_path):
    save(_source("llama", pieces), CausalLanguageModel(), iter(TEXTS), tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    for text in ("the dog sat", "今天天气"):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("pieces", ["bytes", "unigram"])
def test_a_tokenizer_of_conversations_has_a_template_and_its_words(pieces, tmp_path):
    save(_source("llama", pieces), Dialogue(), iter(TEXTS), tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.chat_template == chat_template.PLAIN
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "the cat"}], return_dict=False)
    assert tokenizer.unk_token_id not in ids and ids.count(tokenizer.eos_token_id) == 1
    with pytest.raises(DataError, match="there is no chat template 'plian'"):
        save(_source("llama", pieces), Dialogue(chat_template="plian"), iter(TEXTS), tmp_path)


def test_a_table_that_is_too_small_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"the configuration has 100 rows for tokens, and the tokenizer 3\d\d tokens"):
        save(_source("llama", "bytes", vocab_size=100), CausalLanguageModel(), iter(TEXTS), tmp_path)


def test_fewer_tokens_than_characters_are_refused(tmp_path):
    texts = [chr(0x4E00 + number) * 3 for number in range(500)]
    with pytest.raises(DataError, match=r"400 tokens are too few: .*characters is one, 50\d in all") as refused:
        save(_source("llama", "unigram"), CausalLanguageModel(), iter(texts), tmp_path)
    problem = refused.value.problems[0]
    assert problem.where == "embedding.tokenizer.tokens" and "pieces='bytes'" in problem.do
    save(_source("llama", "bytes"), CausalLanguageModel(), iter(texts), tmp_path)
