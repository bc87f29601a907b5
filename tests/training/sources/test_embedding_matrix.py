"""A matrix of word vectors out of a pretrained model: what each word gets, how it is told, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_bert import make_bert
from transformers import AutoModel

from launcher import (
    DataError,
    EmbeddingMatrix,
    Full,
    MeanPooling,
    Recipe,
    RecipeError,
    Table,
    TextClassification,
    Training,
)
from launcher.errors import BackendError
from launcher.training.prepare import prepare
from launcher.training.sources import build_model, load_tokenizer
from launcher.training.sources.vectors import shaping
from launcher.training.sources.vectors.embedding_matrix import matrix_of
from launcher.training.sources.vectors.word_model import open_model
from launcher.training.sources.vectors.word_states import COMPOSED, EXACT, MISSING, states_of

WORDS = ["good", "bad", "room", "房", "间", "hotel"]
SPLIT = "good room"  # two pieces to a tokenizer that cuts at blanks


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return str(make_bert(tmp_path_factory.mktemp("bert"), WORDS))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def asked(bert, text, places):
    """The states of the model itself at these places of a text, between its [CLS] and [SEP]."""
    model = AutoModel.from_pretrained(bert).eval()
    ids = [2, *(4 + WORDS.index(word) if word in WORDS else 1 for word in text.split()), 3]
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]))[0][0, [1 + place for place in places]].mean(0).numpy()


def test_a_word_is_the_mean_of_its_pieces_after_the_last_layer(bert):
    model = open_model(bert, True)
    assert (model.before, model.after) == ((2,), (3,))
    words = ["good", SPLIT, "never", "never bad"]
    states = states_of(model, words, "mean", inputs=False)
    assert states.kinds.tolist() == [EXACT, COMPOSED, MISSING, COMPOSED]
    for row, places in ((0, [0]), (1, [0, 1]), (3, [1])):
        assert np.abs(states.vectors[row] - asked(bert, words[row], places)).max() < 1e-5
    assert not states.vectors[2].any()
    first = states_of(model, words, "first", inputs=False)
    assert np.abs(first.vectors[1] - asked(bert, SPLIT, [0])).max() < 1e-5


def test_inputs_are_rows_of_the_table(bert):
    model = open_model(bert, False)
    table = model.table.weight.detach().numpy()
    rows = states_of(model, ["room", SPLIT], "mean", inputs=True).vectors
    assert np.allclose(rows[0], table[4 + WORDS.index("room")])
    assert np.allclose(rows[1], (table[4] + table[6]) / 2, atol=1e-7)


def test_in_context_a_word_is_the_mean_over_the_places_where_it_stands(bert):
    model = open_model(bert, True)
    texts = [("bad room good", [(0, 4, 8), (1, 0, 8)]), ("good room", [(0, 5, 9)])]
    states = states_of(model, ["room", "bad room", "hotel"], "context", inputs=False, texts=texts)
    room = (asked(bert, "bad room good", [1]) + asked(bert, "good room", [1])) / 2
    assert states.in_context == 2 and np.abs(states.vectors[0] - room).max() < 1e-5
    assert np.abs(states.vectors[1] - asked(bert, "bad room good", [0, 1])).max() < 1e-5
    assert np.abs(states.vectors[2] - asked(bert, "hotel", [0])).max() < 1e-5, "never seen: by itself"


def test_vectors_are_shaped(bert):
    words = ["good", "bad", "room", "房", "间", "hotel", "never"]
    given = {"model": bert, "dimension": 4, "weighting": "zipf"}
    matrix = matrix_of(EmbeddingMatrix(**given), words, {"good": 5, "bad": 9})
    known = matrix.vectors[:6]
    assert matrix.vectors.shape == (7, 4) and np.isfinite(matrix.vectors).all()
    assert known.std() == pytest.approx(0.1, abs=1e-6)
    lengths = np.linalg.norm(known, axis=1)
    assert lengths[:2] / lengths[1] == pytest.approx([np.log(3) / np.log(2), 1.0], rel=1e-4), "bad is the most frequent"
    assert matrix.counts["tokens_without_a_vector"] == 1 and matrix.counts["tokens_that_are_one_piece"] == 6
    (line,) = matrix.lines
    assert line.startswith(f"matrix of {bert}: one piece: good, bad, room, 房, …; not in it") and line.endswith("never")
    again = matrix_of(EmbeddingMatrix(**given), words, {"good": 5, "bad": 9})
    assert np.array_equal(again.vectors, matrix.vectors)


def test_components_keep_what_varies_most():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(200, 3)) * [5, 1, 0.1] + 7).astype(np.float32)
    found = shaping.reduced(rows, 2, centre=True)
    assert found.mean(0) == pytest.approx([0, 0], abs=1e-4) and found.std(0) == pytest.approx([5, 1], rel=0.15)
    assert np.abs(shaping.reduced(rows, 1, centre=False).mean()) > 5, "what is not centred has its mean first"
    counts = np.array([99.0, 1.0])
    assert shaping.weights(counts, "sif") == pytest.approx([1e-3 / 0.991, 1e-3 / 0.011])


def recipe(folder, bert, **given):
    rows = [("good room", "y"), ("bad 房间", "n"), ("hotel good", "y"), ("never bad", "n")] * 8
    path = folder / "rows.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), encoding="utf-8")
    source = EmbeddingMatrix(model=bert, tokens="words", encoder=MeanPooling(hidden=4), **given)
    data = Table(train=str(path), test=str(path), duplicates="keep")
    return Recipe(task=TextClassification(), data=data, embedding=source, peft=Full(), training=Training(max_steps=1))


@pytest.mark.parametrize("compose", ["mean", "context"])
def test_a_recipe_gets_a_table_of_its_tokens_and_says_how(tmp_path, cache, bert, compose):
    made = recipe(tmp_path, bert, dimension=3, compose=compose)
    facts = prepare(made)
    tokenizer = load_tokenizer(Path(facts["folder"]))
    model = build_model(made.embedding, made.task, facts["labels"], Path(facts["folder"]), None)
    table = model.embeddings.weight.detach().numpy()
    assert table.shape == (len(tokenizer), 3) and not table[tokenizer.pad_token_id].any()
    assert table[tokenizer.unk_token_id] == pytest.approx(table[2:].mean(0), abs=1e-6)
    missing = 2 if compose == "mean" else 0  # in a text even what the model does not know has a state
    assert facts["source"]["tokens_without_a_vector"] == missing
    assert ("not in it, so drawn at random" in facts["vectors"][0]) is bool(missing)
    assert facts["source"].get("tokens_seen_in_texts") == (None if compose == "mean" else 6)
    assert len(list((cache / "matrices").glob("*.safetensors"))) == 1
    prepare(recipe(tmp_path, bert, dimension=2, compose=compose))
    assert len(list((cache / "matrices").glob("*.safetensors"))) == 1, "another dimension asks the model nothing"


def refused(**given):
    with pytest.raises((DataError, RecipeError, BackendError)) as caught:
        matrix_of(EmbeddingMatrix(**given), ["good"], {"good": 1})
    (problem,) = caught.value.problems
    return problem.what


def test_what_cannot_give_a_matrix_is_refused_in_a_sentence(tmp_path, bert):
    from transformers import ResNetConfig, ResNetModel

    assert refused(model=bert, dimension=33) == f"the vectors of {bert} have 32 numbers, and 33 were asked for"
    assert "nowhere" in refused(model="run:nowhere")
    (tmp_path / "empty").mkdir()
    assert refused(model=str(tmp_path / "empty")).endswith("holds no weights")
    assert refused(model=str(tmp_path / "there-is-none")).startswith("there is no ")
    ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])).save_pretrained(tmp_path / "images")
    told = refused(model=str(tmp_path / "images"))
    assert told == f"{tmp_path / 'images'} is of the kind 'resnet' and has no table of input tokens"
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "pytorch_model.bin").write_bytes(b"x")
    (pickled / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert "pickle" in refused(model=str(pickled))
    with pytest.raises(DataError, match="knows none of the 1 tokens, for example never"):
        matrix_of(EmbeddingMatrix(model=bert), ["never"], {"never": 1})
