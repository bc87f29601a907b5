"""Losses at places, computed in parts: the same numbers and gradients as the model's own logits give."""

import pytest
import torch
import transformers
from torch.nn.functional import cross_entropy

from launcher.training.model_parts import word_places
from launcher.training.model_parts.word_places import HITS, LOSSES, MEANS, NONE, read_at_words

SIZE = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TWO = {"decoder_start_token_id": 0, "pad_token_id": 0}


def _warm():
    one = transformers.BertConfig(**SIZE)
    other = transformers.BertConfig(**SIZE, is_decoder=True, add_cross_attention=True)
    return transformers.EncoderDecoderConfig.from_encoder_decoder_configs(one, other, **TWO)


FAMILIES = {
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZE)),
    "qwen2": lambda: transformers.Qwen2ForCausalLM(
        transformers.Qwen2Config(**SIZE, num_key_value_heads=2, tie_word_embeddings=True)
    ),
    "gemma2, whose logits are capped": lambda: transformers.Gemma2ForCausalLM(
        transformers.Gemma2Config(**SIZE, head_dim=8, num_key_value_heads=1, final_logit_softcapping=3.0)
    ),
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2)
    ),
    "bloom": lambda: transformers.BloomForCausalLM(transformers.BloomConfig(vocab_size=50, hidden_size=16, n_layer=2)),
    "bert": lambda: transformers.BertForMaskedLM(transformers.BertConfig(**SIZE)),
    "roberta": lambda: transformers.RobertaForMaskedLM(transformers.RobertaConfig(**SIZE)),
    "bert, pretraining": lambda: transformers.BertForPreTraining(transformers.BertConfig(**SIZE)),
    "t5": lambda: transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=50, d_model=16, d_ff=32, d_kv=8, num_layers=2, num_heads=2, **TWO)
    ),
    "bart": lambda: transformers.BartForConditionalGeneration(
        transformers.BartConfig(
            vocab_size=50, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, **TWO,
        )
    ),
    "two berts": lambda: transformers.EncoderDecoderModel(_warm()),
}  # fmt: skip


@pytest.mark.parametrize("largest", [2**25, 3 * 50])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_gradients_are_those_of_all_logits(family, largest, monkeypatch):
    monkeypatch.setattr(word_places, "LARGEST", largest)
    torch.manual_seed(0)
    model = FAMILIES[family]().eval()
    ids = torch.randint(5, 50, (3, 7))
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.config.is_encoder_decoder:
        given["decoder_input_ids"] = torch.randint(5, 50, (3, 7))
    at = torch.tensor([[-7, -5, -1], [-2, -1, -1], [-6, -3, -2]])
    right = torch.tensor([[9, 8, 7], [6, 5, NONE], [11, 12, 13]])
    logits = model(**given)
    logits = getattr(logits, "prediction_logits", getattr(logits, "logits", None))
    there = logits[torch.arange(3)[:, None], 7 + at]
    expected = cross_entropy(there.flatten(0, 1), right.flatten(), reduction="none", ignore_index=NONE).view(3, 3)
    expected.sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    read_at_words(model)
    output = model(**given, answer_at=at, answers=right)
    assert torch.allclose(output[LOSSES], expected, atol=1e-5)
    means = -there.log_softmax(dim=-1).mean(dim=-1) * (right != NONE)
    assert torch.allclose(output[MEANS], means, atol=1e-5)
    output[LOSSES].sum().backward()
    for name, gradient in gradients.items():
        own = model.get_parameter(name).grad
        assert own is not None and torch.allclose(own, gradient, atol=1e-5), name
    with torch.no_grad():
        hits = model(**given, answer_at=at, answers=there.argmax(dim=-1))[HITS]
        assert hits.tolist() == [[1.0] * 3] * 3
        hits = model(**given, answer_at=at, answers=(there.argmax(dim=-1) + 1) % 50)[HITS]
        assert not hits.any()


def test_without_answers_the_model_is_as_ever():
    torch.manual_seed(0)
    model = FAMILIES["llama"]().eval()
    ids = torch.randint(5, 50, (2, 4))
    before = model(input_ids=ids).logits
    assert torch.equal(read_at_words(model)(input_ids=ids).logits, before)
