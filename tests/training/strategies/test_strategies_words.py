"""Language models asked for words: the same curve under every strategy, whether the head is tied or not."""

import pytest
from warm import largest_difference

STEPS = 12
USUAL = {"max_steps": STEPS}
CASES = [
    ("masked", "Full", "ddp"),
    ("masked", "Full", "fsdp2"),
    ("masked", "Full", "zero3"),
    ("causal", "Full", "fsdp2"),
    ("causal", "Full", "zero3"),
]


@pytest.mark.parametrize(("model", "method", "strategy"), CASES)
def test_the_curve_is_that_of_one_process(warm, model, method, strategy):
    alone = warm.finished(model, method, **USUAL)
    both = warm.finished(model, method, strategy, 2, **USUAL)
    assert largest_difference(alone.losses, both.losses, STEPS) < 1e-5 and len(set(alone.losses)) == STEPS
    one, other = (run.outcome["metrics"]["test"] for run in (alone, both))
    assert abs(one["loss"] - other["loss"]) < 1e-5 and one["accuracy"] == other["accuracy"]
    proof = both.outcome["proof"]
    assert proof["largest_logit_difference"] <= 1e-5 and proof["trained_tensors"] > 0
    shards = both.outcome["in_force"]
    if strategy != "ddp":
        assert shards["sharded_tensors"] == shards["tensors"]
