"""One loss curve: a plain torch loop = one process = every strategy on 2 and on 4, at the same global batch.

Fifty steps in fp32 with warm-up, weight decay, clipping, accumulation in uneven micro-batches and a short last
batch. Not the whole product is run, but a covering selection: on two processes every strategy meets every kind of
model and every method once (a Latin square); on four every strategy runs once.
"""

import pytest
from plain import plain_losses
from warm import METHODS, MODELS, largest_difference

STRATEGIES = ("ddp", "fsdp2", "zero1", "zero2", "zero3")
KINDS = ("ner", "mean", "bert")
STEPS = 50
PARTS = {"micro_batch_size": 3}
"""16 rows on 2 processes are 3 + 3 + 2 each, on 4 they are 3 + 1; 165 training rows end in a batch of 5."""

TWO = [
    (kind, list(METHODS)[(at + turn) % 3], name, 2)
    for turn, name in enumerate(STRATEGIES)
    for at, kind in enumerate(KINDS)
]
FOUR = [(KINDS[turn % 3], list(METHODS)[turn % 3], name, 4) for turn, name in enumerate(STRATEGIES)]
FOUR += [("mean", "Full", "ddp", 4), ("bert", "Full", "ddp", 4)]


def test_the_selection_covers_what_it_says():
    assert len(set(TWO + FOUR)) == 22
    for name in STRATEGIES:
        mine = [case for case in TWO if case[2] == name]
        assert {case[0] for case in mine} == set(KINDS) <= set(MODELS)
        assert {case[1] for case in mine} == set(METHODS)
    assert {case[2] for case in FOUR} == set(STRATEGIES)
    assert {case[0] for case in FOUR} == set(KINDS) and {case[1] for case in FOUR} == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_one_process_gives_the_curve_of_a_plain_loop(warm, kind, method, tmp_path):
    one = warm.finished(kind, method)
    plain = plain_losses(one, kind, STEPS, tmp_path)
    assert largest_difference(one.losses, plain, STEPS) <= 1e-5
    assert max(plain) - min(plain) > 0.02, "the curve must move, or equality says nothing"


@pytest.mark.parametrize(("kind", "method", "name", "processes"), TWO + FOUR)
def test_a_strategy_gives_the_curve_of_one_process(warm, kind, method, name, processes):
    one = warm.finished(kind, method)
    many = warm.finished(kind, method, name, processes, **PARTS)
    assert many.outcome["strategy"] == many.outcome["in_force"]["name"] == name
    assert many.outcome["world_size"] == many.outcome["in_force"]["world_size"] == processes
    assert many.outcome["in_force"].get("gradients_in_shared_memory", False) == (name == "ddp")
    assert many.plan["accumulation"] == {2: 3, 4: 2}[processes]
    assert largest_difference(one.losses, many.losses, STEPS) <= 1e-5
    # AdamW hardly minds a gradient that is twice as large; its norm before clipping tells
    assert many.norms == pytest.approx(one.norms, rel=1e-3, abs=1e-6) and len(one.norms) == STEPS
    for split in ("before", "validation", "test"):
        told, expected = many.outcome["metrics"][split], one.outcome["metrics"][split]
        assert told["examples"] == expected["examples"]
        assert told["loss"] == pytest.approx(expected["loss"], abs=1e-5)
