"""A tiny causal language model."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from families import _bytes

from launcher.launch.request import Request
from launcher.plan.placement import Placement


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


@pytest.fixture(scope="session")
def carried_out(warm):
    """`carried_out(recipe, "fsdp2", 2)`: the run of this name beside the recipe, which has finished."""

    def carry_out(recipe, strategy="single", processes=1, name=None, **sets):
        said = {key: str(value) for key, value in sets.items()}
        request = Request(recipe, said, Placement(processes, strategy), name or strategy, recipe.parent)
        ended = warm.carry_out(request)
        assert ended.status == dict.fromkeys(range(processes), 0), ended.failures()
        return SimpleNamespace(
            folder=ended.folder.path,
            losses=np.array(ended.losses),
            metrics=ended.outcome["metrics"],
            prepared=ended.plan["prepared"],
        )

    return carry_out


@pytest.fixture(scope="session", autouse=True)
def here(cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield
