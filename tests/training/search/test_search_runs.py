"""Runs of the tasks that compare texts: one curve on any number of processes and in any micro-batch."""

from __future__ import annotations

import numpy as np
import pytest
from warm import largest_difference

from launcher.errors import DataError
from launcher.worker.verbs import load

STEPS = 10
PARTS = {"micro_batch_size": 3}
"""Of 16 rows: on one process in six parts, on two in three."""
CASES = [
    ("search", "Full", "single", 1),
    ("search", "Full", "fsdp2", 2),
    ("search", "LoRA", "ddp", 2),
    ("search", "LoRA", "zero3", 2),
    ("search_last", "Full", "zero2", 2),
    ("ordered", "Full", "zero1", 2),
    ("reranked", "Full", "ddp", 2),
]


@pytest.mark.parametrize(("kind", "method", "strategy", "processes"), CASES)
def test_one_curve_whatever_parts_the_batch(warm, kind, method, strategy, processes):
    whole = warm.finished(kind, method, max_steps=STEPS)
    parts = warm.finished(kind, method, strategy, processes, max_steps=STEPS, **PARTS)
    assert parts.plan["accumulation"] == {1: 6, 2: 3}[processes]
    assert largest_difference(whole.losses, parts.losses, STEPS) <= 1e-5
    assert max(whole.losses) - min(whole.losses) > 0.02, "the curve must move, or equality says nothing"
    assert parts.norms == pytest.approx(whole.norms, rel=1e-3, abs=1e-6)
    for split in ("before", "validation", "test"):
        told, expected = parts.outcome["metrics"][split], whole.outcome["metrics"][split]
        assert told.keys() == expected.keys()
        assert told["loss"] == pytest.approx(expected["loss"], abs=1e-4)
    assert parts.outcome["proof"]["largest_logit_difference"] <= 1e-5


def test_a_run_with_cached_gradients_goes_on_bit_by_bit(warm):
    """With dropout: its generator is put back for each second forward pass."""
    about = {"max_steps": STEPS, "checkpoint_every": 5, "keep_checkpoints": 9, "evaluate_every": 10}
    twin = warm.finished("search", "Full", "ddp", 2, dropout=0.2, **about, **PARTS)
    resumed = warm.resume(twin, 5, "ddp", 2)
    assert set(resumed.status.values()) == {0}, resumed.failures()
    rest = [{step: loss.hex() for step, loss in run.steps.items() if step > 5} for run in (twin, resumed)]
    assert rest[0] == rest[1] and len(rest[0]) == STEPS - 5


def test_what_a_finished_model_answers(warm):
    run = warm.finished("search", "Full", max_steps=STEPS)
    model = load(run.folder.path / "model")
    one, other, both = model.predict(["word1 word2", "word2 word3", ("word1 word2", "word2 word3")])
    assert np.linalg.norm(one["vector"]) == pytest.approx(1, abs=1e-5)
    assert both["similarity"] == pytest.approx(np.dot(one["vector"], other["vector"]), abs=1e-5)
    assert model.evaluate(None) == pytest.approx(run.outcome["metrics"]["test"], abs=1e-4)
    ranks = load(warm.finished("reranked", "Full", max_steps=STEPS).folder.path / "model")
    (answer,) = ranks.predict([("word1 word2", "word2 word3")])
    assert isinstance(answer["score"], float)
    with pytest.raises(DataError, match="the model takes pairs of texts"):
        ranks.predict(["word1"])
