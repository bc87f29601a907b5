"""Rows of pairs: what is read, what is wrong with them, what becomes of a text and what is told of it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from at_work import ragged
from compared import ROWS, made

from launcher import Pairs, Pretrained, Reranker, Table, TextEmbedding
from launcher.errors import DataError
from launcher.training.data import Row, read_corpus, read_rows
from launcher.training.sources.embedding_head import EmbeddingHead, settled_pooling
from launcher.training.sources.embedding_sizes import too_large
from launcher.training.tasks import search_scores
from launcher.training.tasks.base import Kept


def saved(folder, rows, name="a.jsonl"):
    path = folder / name
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_rows_of_pairs(tmp_path):
    rows = [
        {"query": "a", "positive": ["b", "c"], "negatives": ["d", "e"]},
        {"query": "f", "positive": "g", "negatives": None},
        {"query": " ", "positive": ""},
    ]
    place = saved(tmp_path, rows)
    data = Pairs(train=place, negatives="negatives")
    read = [(row.text, row.label) for row in read_rows(data, TextEmbedding(), place)]
    assert read == [("a", ("b", "d", "e")), ("a", ("c", "d", "e")), ("f", ("g",))]
    (tmp_path / "b.tsv").write_text("q\tp\tn1\tn2\na\tb\tc\t\nd\te\tf\tg\n")
    table = Pairs(train=str(tmp_path / "b.tsv"), text="q", label="p", negatives=("n1", "n2"))
    read = [(row.text, row.label) for row in read_rows(table, TextEmbedding(), str(tmp_path / "b.tsv"))]
    assert read == [("a", ("b", "c")), ("d", ("e", "f", "g"))]


def test_all_that_is_wrong_with_pairs_is_told_at_once(tmp_path):
    rows = [
        {"query": "a", "positive": "b", "negatives": ["c"]},
        {"query": "a", "negatives": ["c"]},
        {"query": "", "positive": "b", "negatives": ["c"]},
        {"query": "a", "positive": "b", "negatives": ["c", " "]},
        {"query": "a", "positive": "b", "negatives": ["b "]},
        {"query": 5, "positive": "b"},
        {"query": "a", "positive": "b"},
    ]
    data = Pairs(train=saved(tmp_path, rows), negatives="negatives")
    with pytest.raises(DataError) as caught:
        read_corpus(data, Reranker())
    told = {problem.where: problem.what for problem in caught.value.problems}
    assert told == {
        "a.jsonl row 2": "the row has a query and no positive",
        "a.jsonl row 3": "the row has a positive and no query",
        "a.jsonl row 4": "a negative is an empty text",
        "a.jsonl row 5": "a negative is the passage that belongs to the query",
        "a.jsonl row 6": "the query is a number, not a string",
        "a.jsonl row 7": "the row has no passage that does not belong to its query",
    }
    one = Pairs(train=saved(tmp_path, [{"query": "a", "positive": "b"}] * 4), duplicates="keep")
    with pytest.raises(DataError, match="all 4 rows of train have the same passage"):
        read_corpus(one, TextEmbedding())
    alone = Pairs(train=saved(tmp_path, [{"query": "a", "positive": "b"}]))
    with pytest.raises(DataError, match="train has one row: there is no other passage to tell its own from"):
        read_corpus(alone, TextEmbedding())


@pytest.mark.parametrize(
    ("columns", "done"),
    [
        ("question passage", ("text='question'", "label='passage'")),
        ("queri positives", ("did you mean 'queri'?", "did you mean 'positives'?")),
    ],
)
def test_a_column_of_another_name_is_named_by_its_own_field(tmp_path, columns, done):
    place = saved(tmp_path, [dict.fromkeys(columns.split(), "a")])
    with pytest.raises(DataError) as caught:
        read_rows(Pairs(train=place), TextEmbedding(), place)
    assert all(part in problem.do for part, problem in zip(done, caught.value.problems, strict=True))


def test_a_table_of_texts_is_told_that_passages_are_sought(tmp_path):
    """Without the recipe's rules, as `launcher data` reads; it holds tags, too, and these are not the point."""
    place = saved(tmp_path, [{"text": "a", "label": "b"}])
    with pytest.raises(DataError, match=r"Table holds labels, not passages[^$]*use Pairs"):
        read_rows(Table(train=place), TextEmbedding(), place)


def test_pooling(tmp_path):
    states = torch.arange(24.0).reshape(2, 3, 4)
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    pooled = {"mean": [(states[0, 0] + states[0, 1]) / 2, (states[1, 1] + states[1, 2]) / 2]}
    pooled |= {"first": [states[0, 0], states[1, 1]], "last": [states[0, 1], states[1, 2]]}
    for name, expected in pooled.items():
        head = EmbeddingHead(SimpleNamespace(sentence_pooling=name))
        given = head(states, {"attention_mask": mask})["embeddings"]
        assert torch.allclose(given, torch.nn.functional.normalize(torch.stack(expected), dim=-1))
    from transformers import BertConfig, LlamaConfig

    assert settled_pooling(None, tmp_path, BertConfig()) == "mean"
    assert settled_pooling(None, tmp_path, LlamaConfig()) == "last"
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert settled_pooling(None, tmp_path, LlamaConfig()) == "first"
    assert settled_pooling("mean", tmp_path, LlamaConfig()) == "mean"


def test_sizes_are_smaller_than_the_model_s_vectors(bert):
    told = [problem.what for problem in too_large(Pretrained(model=str(bert)), TextEmbedding(sizes=(8, 32, 64)))]
    assert told == [f"vectors of {bert} have 32 numbers, and task.sizes names 32, 64"]
    assert list(too_large(Pretrained(model=str(bert)), TextEmbedding(sizes=(16,)))) == []


def test_what_is_told_of_texts():
    work, split = made(TextEmbedding(), [Row("word1", (), ""), Row("word2", ("word3",), "")])
    kept = Kept({"embeddings": search_scores.Ragged(np.eye(3, 3, dtype=np.float32), np.array([0, 1, 3]))})
    answer = work.tell("word1", split, np.array([0]), kept)
    assert answer == {"vector": [1.0, 0.0, 0.0]}
    assert work.printed("word1", answer, None).startswith("[1.0000, 0.0000, 0.0000, …] (3 numbers")
    assert work.tell(("word2", "word3"), split, np.array([1]), kept) == {"similarity": 0.0}
    other, _ = made(TextEmbedding(passage_prefix="word9 "))
    seen = other.as_seen(ROWS[0])
    assert [token["label"] for token in seen["tokens"] if token["label"]] == ["query", "passage", "negative"]
    assert [token["token"] for token in seen["tokens"][:4]] == ["[CLS]", "word1", "word2", "[SEP]"]
    assert other.example("word1").labels == ("word1",) and work.example("word1").labels == ()
    assert ragged([[1]]).lengths.tolist() == [1]
