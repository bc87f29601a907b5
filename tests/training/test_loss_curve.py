"""What must not move a curve: micro-batches, a second run, a bag of n-grams on two processes."""

import pytest
from warm import METHODS, largest_difference

STEPS = 25


def test_accumulation_changes_nothing(warm):
    whole = warm.finished("mean", "Full", max_steps=STEPS)
    parts = warm.finished("mean", "Full", max_steps=STEPS, micro_batch_size=5)
    assert (parts.plan["micro_batch_size"], parts.plan["accumulation"]) == (5, 4)
    assert largest_difference(whole.losses, parts.losses, STEPS) <= 1e-5


def test_two_runs_of_one_recipe_are_bit_identical(warm):
    first, second = (warm.finished("ner", "Full", max_steps=STEPS, dropout=0.2, before=f"# {n}\n") for n in (1, 2))
    assert first.folder != second.folder
    assert [loss.hex() for loss in first.losses] == [loss.hex() for loss in second.losses]
    assert warm.finished("ner", "Full", max_steps=STEPS, dropout=0.2, seed=1).losses != first.losses


@pytest.mark.parametrize("method", METHODS)
def test_a_bag_of_ngrams_is_saved_and_proven_with_every_method(warm, method):
    one = warm.finished("bag", method, max_steps=STEPS)
    two = warm.finished("bag", method, "ddp", 2, max_steps=STEPS)
    assert largest_difference(one.losses, two.losses, STEPS) <= 1e-5
    assert one.outcome["proof"]["largest_logit_difference"] <= 1e-5
    table = (62 if method == "Full" else 0) * 12  # 60 words, padding and the unknown
    assert one.outcome["parameters"]["trainable"] > 60 * 2 + table
