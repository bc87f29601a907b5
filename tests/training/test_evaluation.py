"""Metrics against values counted by hand; truncated words; the exact split sizes at world sizes 1, 2 and 4."""

import json

import numpy as np
import pytest
from at_work import predicted, ragged, split_of, texts_of, work_of
from tokenizers import Regex, normalizers

from launcher import TextClassification, TokenClassification
from launcher.launch.request import Request
from launcher.plan.placement import Placement
from launcher.runs import pulse
from launcher.training.data import Row
from launcher.training.result.inference import evaluate
from launcher.training.result.model_folder import load_saved_model

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def test_classification_metrics_by_hand():
    work = work_of(TextClassification(), ["bad", "good"])
    told = work.score(texts_of([0, 0, 0, 1, 1]), predicted(np.array([0, 0, 1, 1, 0])))
    assert told["accuracy"] == pytest.approx(3 / 5)
    assert told["classes"]["bad"] == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "support": 3})
    assert told["classes"]["good"] == pytest.approx({"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "support": 2})
    assert told["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)


@pytest.mark.parametrize(("gold", "said"), [([0, 0, 2], [0, 2, 2]), ([0, 0, 2], [0, 1, 2]), ([3, 3], [3, 3])])
def test_macro_f1_is_that_of_scikit_learn_over_what_is_there_or_predicted(gold, said):
    from sklearn.metrics import f1_score

    told = work_of(TextClassification(), ["a", "b", "c", "d"]).score(texts_of(gold), predicted(np.array(said)))
    assert told["macro_f1"] == pytest.approx(f1_score(gold, said, average="macro"))
    assert list(told["classes"]) == ["a", "b", "c", "d"]


def test_entity_metrics_count_whole_entities_and_cut_words_count_as_outside():
    # gold: [PER PER] O [LOC] | told: [PER] O O, and the last word was cut away
    work, split = work_of(TokenClassification(), LABELS), split_of([[5]], gold=[[1, 2, 0, 3]], seen=[[1, 1, 1, 0]])
    told = work.score(split, predicted(ragged([[1, 2, 0]])))
    assert told["entity_precision"] == 1.0
    assert told["entity_recall"] == pytest.approx(1 / 2)
    assert told["entity_f1"] == pytest.approx(2 / 3)
    assert told["token_accuracy"] == pytest.approx(3 / 4)
    half = work.score(split, predicted(ragged([[1, 0, 0]])))
    assert half["entity_f1"] == 0.0, "half an entity is none"
    assert half["token_f1"] == pytest.approx(2 * (1 / 1) * (1 / 3) / (1 / 1 + 1 / 3))


def test_columns_of_a_cut_sentence(bert):
    from transformers import AutoTokenizer

    rows = [Row(("word1", "word2", "word3"), ("B-PER", "I-PER", "O"), "x line 1")]
    encoded = work_of(TokenClassification(), LABELS, AutoTokenizer.from_pretrained(bert), 4).encode(rows)
    assert encoded.truncated.tolist() == [True]
    assert encoded.lost == {"words_cut": 1, "words_swallowed": 0, "entities_cut": 0, "entities_beyond": 0}
    columns = {name: encoded.split.ragged(name).values.tolist() for name in ("labels", "gold", "seen")}
    assert columns == {"labels": [-100, 1, 2, -100], "gold": [1, 2, 0], "seen": [1, 1, 0]}
    assert encoded.split.targets["loss"].tolist() == [2] and encoded.split.cost.tolist() == [4]


@pytest.mark.parametrize(
    ("words", "tags", "max_length", "expected"),
    [
        ("word1 word2 word3", "B-PER I-PER O", 9, (0, 0, 0, 0, 0)),
        ("word1 word2 word3", "B-PER I-PER I-PER", 4, (1, 1, 0, 1, 0)),
        ("word1 word2 word3 word4 word5", "O O B-PER I-PER B-PER", 4, (1, 3, 0, 0, 2)),
        ("word1 word2 word3 word4 word5", "B-PER I-PER I-PER O B-PER", 4, (1, 3, 0, 1, 1)),
        ("word1 \x1b\u200b word3", "B-PER I-PER O", 9, (0, 0, 1, 0, 0)),
        ("\u200b word2 word3 word4", "O B-PER O B-PER", 4, (1, 1, 1, 0, 1)),
    ],
)
def test_what_is_not_seen_is_counted(bert, words, tags, max_length, expected):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace(Regex("[\x1b\u200b]"), "")  # as BERT's cleans texts
    rows = [Row(tuple(words.split()), tuple(tags.split()), "x line 1")]
    encoded = work_of(TokenClassification(), LABELS, tokenizer, max_length).encode(rows)
    assert (int(encoded.truncated.sum()), *encoded.lost.values()) == expected
    seen = encoded.split.ragged("seen").values
    assert len(seen) - seen.sum() == expected[1] + expected[2]


@pytest.mark.parametrize("rows", [1, 5])
def test_a_test_split_smaller_than_the_ranks_is_counted_once(rows, warm, tmp_path):
    recipe, told = warm.recipe("mean", "Full", max_steps=3), []
    for processes in (1, 2, 4):
        placement = Placement(processes, "ddp" if processes > 1 else "single")
        asked = Request(recipe, {"data.test_size": str(rows)}, placement, f"r{processes}", tmp_path / "runs")
        run = warm.carry_out(asked)
        assert set(run.status.values()) == {0}, run.failures()
        told.append(run.outcome["metrics"]["test"])
    assert [metrics["examples"] for metrics in told] == [rows] * 3
    assert sum(row["support"] for row in told[2]["classes"].values()) == rows
    assert told[0]["accuracy"] == told[1]["accuracy"] == told[2]["accuracy"]
    again = json.loads(json.dumps(evaluate(load_saved_model(run.folder.model), None)))
    assert again["classes"] == told[2]["classes"]
    assert again.pop("loss") == pytest.approx(told[2]["loss"], abs=1e-6)
    assert {**again, "loss": told[2]["loss"]} == told[2]


def test_an_evaluation_says_how_it_gets_on(warm, monkeypatch):
    """Each is known by how slow those before it were, a test as well; counting has its own allowance."""
    saved = load_saved_model(warm.finished("mean", "LoRA", "single", 1).folder.model)
    told = []
    monkeypatch.setattr(pulse, "enter", lambda stage: told.append(("enter", stage)))
    monkeypatch.setattr(pulse, "tick", lambda stage=None, allowed=0.0: told.append((stage, allowed >= 120)))
    evaluate(saved, None)
    assert told[0] == ("enter", "evaluating") and told[-1] == ("measuring", True)
    assert set(told[1:-1]) == {("evaluating", False)}
