"""The same texts under every strategy, on one process or several, also where ranks end at different lengths."""

from __future__ import annotations

import pytest
import ranks_that_write as ranks

MODELS = ["gpt2", "llama", "t5"]
"""A patched head (`answer_at`), rotary positions, and two stacks of which one is called by itself."""
METHODS = ["llama lora", "gpt2 adapter", "llama prompt", "gpt2 prompt", "llama prefix"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process writes."""
    return ranks.texts_of([*MODELS, *METHODS], "single", 1, tmp_path_factory.mktemp("alone") / "single")


@pytest.mark.parametrize("model", [*MODELS, *METHODS])
def test_greedy_texts_are_the_likeliest_token_after_all_before_it(alone, model):
    """Of one row alone, without cache and padding: so nothing in the batch, the cache or the method counts twice."""
    assert alone[model]["greedy"] == alone[model]["by hand"]
    lengths = {len(tokens) for tokens in alone[model]["greedy"]}
    assert len(lengths) > 1, "texts of one length would show no rank that waits for another"
    assert alone[model]["beams"] != alone[model]["greedy"] != alone[model]["drawn"]


@pytest.mark.parametrize(
    ("strategy", "size", "models"),
    [
        ("ddp", 2, MODELS),
        ("fsdp2", 2, [*MODELS, *METHODS]),
        ("fsdp2", 4, ["llama", "t5"]),
        ("zero2", 2, ["gpt2"]),
        ("zero3", 2, [*MODELS, "llama lora"]),
        ("zero3", 4, ["llama"]),
    ],
)
def test_the_same_texts_under_every_strategy(alone, strategy, size, models, tmp_path):
    """Seven rows in twos: the last rank has fewer, or none."""
    together = ranks.texts_of(models, strategy, size, tmp_path / strategy)
    for model in models:
        for way in ranks.WAYS:
            assert together[model][way] == alone[model][way], (model, way)
        assert together[model]["losses"] == pytest.approx(alone[model]["losses"], abs=1e-5), model
