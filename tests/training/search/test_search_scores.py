"""Metrics of search, by hand: each query among all passages of its split."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from compared import made, unit

from launcher import TextEmbedding
from launcher.training.tasks import search_scores
from launcher.training.tasks.base import Kept


def ranks_by_hand(vectors, texts):
    """Of each pair of a query and its passage the place of the passage, where each query may have several."""
    corpus = {
        text: v for row, vs in zip(texts, vectors, strict=True) for text, v in list(zip(row, vs, strict=True))[1:]
    }
    queries = {row[0]: vs[0] for row, vs in zip(texts, vectors, strict=True)}
    right = {}
    for row in texts:
        right.setdefault(row[0], {})[row[1]] = None
    ranks = {}
    for query, vector in queries.items():
        for passage in right[query]:
            own = float(vector @ corpus[passage])
            ranks[query, passage] = 1 + sum(
                float(vector @ other) > own
                for text, other in corpus.items()
                if text != passage and (text != query or text in right[query])
            )
    return ranks


def test_metrics_are_of_each_query_among_all_passages_of_the_split(monkeypatch):
    monkeypatch.setattr(search_scores, "QUERIES", 3)
    monkeypatch.setattr(search_scores, "PASSAGES", 4)
    draw = np.random.default_rng(3)
    texts = [[f"q{n % 23}", f"p{n}", *(f"n{m}" for m in draw.integers(0, 30, n % 3))] for n in range(28)]
    texts += [["same", "p1"], ["q0", "q5"]]  # a passage of two queries, and one that is itself a query
    names = dict.fromkeys(itertools.chain.from_iterable(texts))
    known = {name: unit(1, 6, seed=number)[0].numpy() for number, name in enumerate(names)}
    vectors = [[known[name] for name in row] for row in texts]
    keys = np.array([hash(name) for row in texts for name in row])
    offsets = np.cumsum([0, *map(len, texts)])
    told = search_scores.ranked(search_scores.Ragged(np.concatenate(vectors), offsets), keys, 0.1)
    ranks = ranks_by_hand(vectors, texts)
    of_query = {}
    for (query, _), rank in ranks.items():
        of_query.setdefault(query, []).append(rank)
    gains = [sum(1 / math.log2(r + 1) for r in rs if r <= 10) for rs in of_query.values()]
    ideal = [sum(1 / math.log2(n + 2) for n in range(len(rs))) for rs in of_query.values()]
    assert told["ndcg_at_10"] == pytest.approx(np.mean([g / i for g, i in zip(gains, ideal, strict=True)]))
    assert told["mrr_at_10"] == pytest.approx(
        np.mean([1 / min(rs) if min(rs) <= 10 else 0 for rs in of_query.values()])
    )
    for cut in (1, 10):
        found = [np.mean([r <= cut for r in rs]) for rs in of_query.values()]
        assert told[f"recall_at_{cut}"] == pytest.approx(np.mean(found)) and 0 < np.mean(found) < 1
    within = search_scores.found_within(search_scores.Ragged(np.concatenate(vectors), offsets), keys)
    assert within == [(p, pytest.approx(np.mean([r <= p for r in ranks.values()]))) for p in (1, 2, 3, 5, 10, 20)]
    assert (told["queries"], told["passages"]) == (24, len({name for row in texts for name in row[1:]}))


def test_one_vector_for_all_finds_nothing():
    keys = np.arange(60)
    same = search_scores.Ragged(np.tile(unit(1, 4).numpy(), (60, 1)), np.arange(0, 61, 3))
    told = search_scores.ranked(same, keys, 0.05)
    assert told["recall_at_10"] == told["mrr_at_10"] == told["ndcg_at_10"] == 0.0
    assert told["loss"] == pytest.approx(math.log(40), abs=1e-3)
    work, split = made(TextEmbedding())
    assert work.only_answer(split, Kept({"embeddings": same})) == "the same vector"
