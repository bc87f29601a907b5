"""The quick bound of a model's size holds, and a wide lexicon is counted: among the facts, in memory, in the bound."""

import pytest
from test_model_facts import LSTM, MEAN, knowing, really_built

from launcher.plan.memory import Setting, predict
from launcher.training.memory import model_bound


def test_the_facts_of_a_lexicon_are_those_of_the_model(facts_of, tmp_path) -> None:
    recipe, prepared, facts = facts_of(knowing(LSTM, tmp_path))
    model, _, counts = really_built(recipe, prepared)
    assert model.lexicon.weights.shape == (900, 48) and model.lexicon.values.shape == (61, 900)
    assert (facts.total, facts.trainable) == counts
    assert facts.buffers == 4 * 61 * 900 + 8 * 60 == sum(b.numel() * b.element_size() for b in model.buffers())


NARROW = "RandomVectors(dimension=8, encoder=MeanPooling(hidden=4))"
"""What a lexicon of many ratings says of a row is most of what the row holds."""
WIDE = "RandomVectors(dimension=1024, minimum_count=26, encoder=MeanPooling(hidden=4))"
"""Its weights are most of the model's: few words are frequent enough to have a row."""


@pytest.mark.parametrize("source", ["bert", LSTM, MEAN, "narrow", "wide"])
def test_the_quick_bound_is_above_what_is_found(source, facts_of, deep_bert, tmp_path) -> None:
    made = {"narrow": knowing(NARROW, tmp_path), "wide": knowing(WIDE, tmp_path)}
    made["bert"] = f"Pretrained(model={str(deep_bert)!r})"
    recipe, prepared, facts = facts_of(made.get(source, source))
    bound = model_bound.bound(recipe, prepared)
    assert bound["weights"] >= facts.total
    activations = predict(facts, Setting("single", 1, 64, 1, facts.longest)).activations
    assert 64 * bound["row_bytes"] >= activations
