"""A tiny causal language model."""

import pytest
import torch
from families import _bytes


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory):
    """The folder of a Llama with random weights and a token for each byte; `<s>` 0, `</s>` 1, `<pad>` 2."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = str(tmp_path_factory.mktemp("llama"))
    torch.manual_seed(0)
    tokenizer = _bytes(["<s>", "</s>", "<pad>"], bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    numbers = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = LlamaConfig(**sizes, **numbers, num_key_value_heads=2, max_position_embeddings=64)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def here(cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield
