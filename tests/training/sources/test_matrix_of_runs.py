"""A matrix out of one of our runs: what its method has added counts, and static vectors are their table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from launcher import DataError, EmbeddingMatrix
from launcher.training.report.embeddings import embeddings
from launcher.training.result.model_folder import load_saved_model
from launcher.training.sources.vectors.embedding_matrix import matrix_of
from launcher.training.sources.vectors.word_model import open_model
from launcher.training.sources.vectors.word_states import COMPOSED, EXACT, states_of

STEPS = 6
WORDS = ["word3", "word14"]


def name_of(run) -> str:
    return f"run:{run.folder.path}"


def test_of_a_run_beside_a_frozen_base_both_count(warm) -> None:
    run = warm.finished("grown", "LoRA", max_steps=STEPS)
    states = states_of(open_model(name_of(run), True), [*WORDS, "d1"], "mean", inputs=False)
    assert states.kinds.tolist() == [EXACT, COMPOSED, EXACT], "a new token of the run's is a piece like others"
    saved = load_saved_model(run.folder.model)
    ids = torch.tensor([saved.work.tokenizer("word3")["input_ids"]])
    with torch.no_grad():
        wanted = saved.model.get_base_model().bert(input_ids=ids)[0][0, 1].numpy()
    assert np.abs(states.vectors[0] - wanted).max() < 1e-5
    base = states_of(open_model(str(warm.bert), True), WORDS, "mean", inputs=False)
    assert np.abs(states.vectors[0] - base.vectors[0]).max() > 1e-3, "it has trained"


def test_of_static_vectors_the_table_counts(warm) -> None:
    """Of a run whose texts jieba cuts, which cuts some of its own words again where they stand by themselves."""
    run = warm.finished("cnn", "Full", max_steps=STEPS)
    saved = load_saved_model(run.folder.model)
    numbers = saved.work.tokenizer.get_vocab()
    own = [word for word in numbers if word not in ("[PAD]", "[UNK]")]
    found = states_of(open_model(name_of(run), False), own, "mean", inputs=True)
    table = saved.model.embeddings.weight.detach().numpy()
    assert np.array_equal(found.vectors, table[[numbers[word] for word in own]]) and not found.kinds.any()
    request = {"words": None, "recipe": None, "neighbours": ["word3"], "analogy": [], "top": 1, "output": None}
    told = embeddings({**request, "source": name_of(run), "settings": {"read_from": "inputs"}})
    assert told["words"] == told["counts"]["tokens_that_are_one_piece"] == len(own) and told["neighbours"]["word3"]
    with pytest.raises(DataError, match="has static vectors, whose table is all that it knows of a word") as caught:
        matrix_of(EmbeddingMatrix(model=name_of(run)), WORDS, {})
    assert caught.value.problems[0].do.startswith('write read_from="inputs"')
