"""How well queries find their passages: each among all passages of its split, in blocks that fit into memory.

The corpus is every different passage of the split, those that belong to some query and those that were given as
negatives. What counts for a query are all passages that any row names for it. Left out is a passage that is the query's
own text. A passage that lies as near as the right one counts as nearer, so that a model that gives every text the same
vector finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from launcher.runs import pulse
from launcher.training.batches.split import Ragged

QUERIES, PASSAGES = 256, 16384
"""Cosines of so many queries with so many passages are held at a time."""
NEAR = 1e-6
"""Cosines that differ by less are taken for equal."""
CUT = 10
PLACES = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


class Corpus(NamedTuple):
    """The different queries and passages of a split, with which belong together."""

    queries: np.ndarray
    """Vectors, float32 [queries, width]."""
    passages: np.ndarray
    """Vectors, float32 [passages, width]."""
    first_query: np.ndarray
    """In which row of the split a query stands first, int64 [queries]."""
    first_passage: np.ndarray
    """Which text of the split a passage is first, int64 [passages]."""
    pairs: np.ndarray
    """Query and passage that belong together, int64 [pairs, 2], sorted by query."""
    itself: np.ndarray
    """The passage that is the query's own text and does not belong to it, -1 where there is none; int64 [queries]."""


def corpus_of(vectors: Ragged, keys: np.ndarray) -> Corpus:
    """Of rows of vectors, each a query, its passage and negatives; `keys` are the texts', int64 [texts]."""
    starts = vectors.offsets[:-1]
    _, first_query, of_query = np.unique(keys[starts], return_index=True, return_inverse=True)
    are_passages = np.ones(len(keys), dtype=bool)
    are_passages[starts] = False
    texts = np.flatnonzero(are_passages)
    passage_keys, first, of_passage = np.unique(keys[texts], return_index=True, return_inverse=True)
    number = np.full(len(keys), -1, dtype=np.int64)
    number[texts] = of_passage
    pairs = np.unique(np.stack([of_query, number[starts + 1]], axis=1), axis=0)
    query_keys = keys[starts][first_query]
    at = np.minimum(np.searchsorted(passage_keys, query_keys), len(passage_keys) - 1)
    itself = np.where(passage_keys[at] == query_keys, at, -1)
    known = {(int(query), int(passage)) for query, passage in pairs}
    itself = np.array([-1 if (query, int(one)) in known else int(one) for query, one in enumerate(itself)])
    return Corpus(
        vectors.values[starts[first_query]], vectors.values[texts[first]], first_query, texts[first], pairs, itself
    )


def cosines_in_blocks(corpus: Corpus, queries: slice) -> Iterator[tuple[int, np.ndarray]]:
    """For these queries, blocks of passages from a first one on: cosines, float32 [queries, passages]; a query's own
    text has -inf.
    """
    for start in range(0, len(corpus.passages), PASSAGES):
        block = corpus.queries[queries] @ corpus.passages[start : start + PASSAGES].T
        itself = corpus.itself[queries] - start
        there = np.flatnonzero((itself >= 0) & (itself < block.shape[1]))
        block[there, itself[there]] = -np.inf
        yield start, block


def ranked(vectors: Ragged, keys: np.ndarray, temperature: float) -> dict[str, float]:
    """NDCG@10 (Järvelin and Kekäläinen 2002), MRR@10, recall@1 and @10, each the mean over the different queries; and
    the mean over their passages of the cross entropy against all that do not belong to the query.
    """
    corpus = corpus_of(vectors, keys)
    ranks, losses = _ranks(corpus, temperature)
    query = corpus.pairs[:, 0]
    counts = np.bincount(query, minlength=len(corpus.queries))

    def by_query(values: np.ndarray) -> np.ndarray:
        return np.bincount(query, weights=values, minlength=len(counts))

    ideal = np.cumsum(1 / np.log2(np.arange(2, CUT + 2)))[np.minimum(counts, CUT) - 1]
    first = np.full(len(counts), np.inf)
    np.minimum.at(first, query, ranks)
    return {
        "ndcg_at_10": float((by_query(np.where(ranks <= CUT, 1 / np.log2(ranks + 1), 0.0)) / ideal).mean()),
        "mrr_at_10": float(np.where(first <= CUT, 1 / first, 0.0).mean()),
        "recall_at_1": float((by_query(ranks <= 1) / counts).mean()),
        "recall_at_10": float((by_query(ranks <= CUT) / counts).mean()),
        "loss": float(losses.mean()),
        "queries": len(counts),
        "passages": len(corpus.passages),
    }


def found_within(vectors: Ragged, keys: np.ndarray) -> list[tuple[int, float]]:
    """For some numbers of nearest passages, below that of all, the part of the pairs whose passage is among them."""
    corpus = corpus_of(vectors, keys)
    ranks, _ = _ranks(corpus, 1.0)
    return [(place, float((ranks <= place).mean())) for place in PLACES if place < len(corpus.passages)]


def _ranks(corpus: Corpus, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Of each pair the place of its passage among all, from 1, int64 [pairs]; and its loss, float64."""
    ranks, losses = np.ones(len(corpus.pairs), dtype=np.int64), np.zeros(len(corpus.pairs))
    for start in range(0, len(corpus.queries), QUERIES):
        queries = slice(start, min(start + QUERIES, len(corpus.queries)))
        own = slice(*np.searchsorted(corpus.pairs[:, 0], (queries.start, queries.stop)))
        query, passage = corpus.pairs[own].T
        query = query - start
        right = np.einsum("pw,pw->p", corpus.queries[queries][query], corpus.passages[passage])
        others = np.zeros(queries.stop - queries.start)
        for first, block in cosines_in_blocks(corpus, queries):
            pulse.tick("measuring")
            here = np.flatnonzero((passage >= first) & (passage < first + block.shape[1]))
            known = block.copy()
            known[query[here], passage[here] - first] = -np.inf  # what belongs to the query is no wrong answer to it
            others += np.exp((known.astype(np.float64) - 1) / temperature).sum(axis=1)
            nearer = block[query] > (right - NEAR)[:, None]
            nearer[here, passage[here] - first] = False
            ranks[own] += nearer.sum(axis=1)
        scaled = (right.astype(np.float64) - 1) / temperature
        with np.errstate(divide="ignore"):
            losses[own] = np.logaddexp(np.log(others)[query], scaled) - scaled
    return ranks, losses
