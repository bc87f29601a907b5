"""The same texts under every strategy, on one process or several, also where ranks end at different lengths."""

from __future__ import annotations

import pytest
import ranks_that_write as ranks

MODELS = ["gpt2", "llama", "t5", "bart", "joined"]
"""Positions that are learnt, rotary ones, and two stacks, of which one is called by itself."""
METHODS = ["llama packed", "llama lora", "gpt2 adapter", "llama prompt", "gpt2 prompt", "llama prefix"]
ORDERS = {
    "single 1": [*MODELS, *METHODS],
    "ddp 2": ["gpt2", "llama"],
    "ddp 4": ["gpt2"],
    "fsdp2 2": ["llama", "t5", "joined", "llama prompt", "llama prefix"],
    "fsdp2 4": ["gpt2", "t5"],
    "zero2 2": ["gpt2"],
    "zero3 2": ["llama", "joined", "llama lora"],
    "zero3 4": ["gpt2"],
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What was written, by strategy and number of processes."""
    return ranks.texts_of(ORDERS, tmp_path_factory.mktemp("writing"))


@pytest.mark.parametrize("model", [*MODELS, *METHODS])
def test_greedy_texts_are_the_likeliest_token_after_all_before_it(told, model):
    """Of one row alone, without cache and padding: so nothing in the batch, the cache or the method counts twice."""
    alone = told["single 1"][model]
    assert alone["greedy"] == alone["by hand"]
    lengths = {len(tokens) for tokens in alone["greedy"]}
    assert len(lengths) > 1, "texts of one length would show no rank that waits for another"
    assert alone["beams"] != alone["greedy"] != alone["drawn"]


@pytest.mark.parametrize("order", [order for order in ORDERS if order != "single 1"])
def test_the_same_texts_under_every_strategy(told, order):
    """Five rows in twos: some are padded, and of four ranks one has none. Training goes on as before."""
    for model, together in told[order].items():
        alone = told["single 1"][model]
        for way in ranks.WAYS:
            assert together[way] == alone[way], (model, way)
        assert together["losses"] == pytest.approx(alone["losses"], abs=1e-5), model
