"""Runs of the tasks that compare texts: one curve on any number of processes and in any micro-batch."""

from __future__ import annotations

import json

import numpy as np
import pytest
from warm import largest_difference

from launcher import Pairs, Reranker
from launcher.errors import DataError
from launcher.training.data import read_corpus, read_rows
from launcher.training.result.inference import predict
from launcher.training.result.mining import Choice, mine
from launcher.training.result.model_folder import load_saved_model
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


def test_negatives_are_near_and_certainly_not_right(warm, tmp_path):
    """By the model's own vectors; the next recipe reads them; the same bytes each time."""
    run = warm.finished("search", "Full", max_steps=STEPS)
    saved, told = load_saved_model(run.folder.path / "model"), []
    out, again, choice = tmp_path / "a.jsonl", tmp_path / "b.jsonl", Choice(3, 0, 0.01, 90.0)
    found = mine(saved, None, out, choice, lambda done, of: told.append(done / of))
    assert told == sorted(told) and told[-1] == 1.0
    rows = read_rows(Pairs(train=str(out), negatives="negatives"), Reranker(), str(out))
    train = read_corpus(saved.recipe.data, saved.recipe.task).splits["train"]
    assert found["rows"] == len(rows) > 20 and found["rows"] + found["without"] == len(train)
    assert found["negatives"] == sum(len(row.labels) - 1 for row in rows)
    texts = sorted({text for row in rows for text in (row.text, *row.labels)})
    vectors = dict(zip(texts, (np.array(a["vector"]) for a in predict(saved, texts)), strict=True))
    right = {}
    for row in train:
        right.setdefault(row.text, set()).add(row.labels[0])
    corpus = {text for row in train for text in row.labels}
    for row in rows[:40]:
        query = vectors[row.text]
        least = min(query @ vectors[text] for text in right[row.text] if text in vectors)
        cosines = [query @ vectors[text] for text in row.labels[1:]]
        assert 1 <= len(cosines) <= 3 and cosines == sorted(cosines, reverse=True)
        assert not right[row.text] & set(row.labels[1:]) and row.text not in row.labels[1:]
        assert max(cosines) <= min(0.9 * least, least - 0.01) + 1e-5
        others = [t for t in corpus - right[row.text] - {row.text} if t in vectors]
        allowed = sorted((query @ vectors[t] for t in others if query @ vectors[t] < 0.9 * least - 1e-5), reverse=True)
        assert cosines[0] >= allowed[0] - 1e-5
    mine(saved, None, again, choice, lambda *_: None)
    assert again.read_bytes() == out.read_bytes()
    data = tmp_path / "more.jsonl"
    data.write_text("\n".join(json.dumps({"query": f"word{n}", "positive": f"word{n + 1} word5"}) for n in range(20)))
    assert mine(saved, str(data), again, Choice(2, 1, 0.0, 100.0), lambda *_: None)["passages"] == 20
    other = load_saved_model(warm.finished("ordered", "Full", max_steps=STEPS).folder.path / "model")
    with pytest.raises(DataError, match="negatives are found by a model that was trained to find passages"):
        mine(other, None, out, choice, print)
