"""Hard negatives: for each query the passages that the run's own model puts near it and that do not belong to it.

A passage that lies as near as the right one, or nearly, often answers the query too, and nobody has marked it: such are
left out (by a share of the right one's cosine as in NV-Retriever, Moreira et al. 2024, arXiv 2407.15831, or a margin).
The corpus is what `search_scores` says: every passage of the rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from launcher.errors import DataError, Problem
from launcher.recipe.about_search import couples_rows
from launcher.recipe.data import Pairs
from launcher.recipe.task import plain
from launcher.training.batches.split import Ragged, as_ragged
from launcher.training.data import read_corpus, read_rows
from launcher.training.distributed.world import World
from launcher.training.evaluation import EVALUATION_ROWS
from launcher.training.model_parts.embedding_names import EMBEDDINGS
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.result.inference import encoded_rows
from launcher.training.result.model_folder import SavedModel
from launcher.training.tasks.base import Encoded
from launcher.training.tasks.collate import Batches
from launcher.training.tasks.keeping import Keeping
from launcher.training.tasks.search_scores import QUERIES, Corpus, corpus_of, cosines_in_blocks
from launcher.training.tasks.text_embedding import KEYS

CPU = torch.device("cpu")
Told = Callable[[int, int], None]
"""Is told how much is done, and of how much."""


@dataclass(frozen=True)
class Choice:
    """Which passages are taken: `count` of the nearest, of which the first `skip` are left out, whose cosine is at most
    `percent` of the right passage's and at least `margin` below it.
    """

    count: int
    skip: int
    margin: float
    percent: float

    def highest(self, right: np.ndarray) -> np.ndarray:
        """Cosines that a negative may have at most, of those of the right passages."""
        lowest: np.ndarray = np.minimum(right - self.margin, right - (1 - self.percent / 100) * np.abs(right))
        return lowest


def mine(saved: SavedModel, data: str | None, output: Path, choice: Choice, told: Told) -> dict[str, Any]:
    """Write the training rows of the model's recipe, or those of the file `data`, with negatives; what was found.

    Raises DataError for a model that was not trained on queries with passages.
    """
    recipe = saved.recipe
    if not couples_rows(recipe.task) or not isinstance(recipe.data, Pairs):
        what = (
            f"negatives are found by a model that was trained to find passages, and this one is of {recipe.task.kind}"
        )
        raise DataError(Problem(what, do="give a run of TextEmbedding(loss='ranking')"))
    if data is None:
        rows = read_corpus(recipe.data, plain(recipe.task)).splits["train"]
    else:
        rows = read_rows(replace(recipe.data, negatives=None), plain(recipe.task), data)
    with encoded_rows(saved, rows) as made:
        vectors = _vectors(saved, made, lambda done: told(done, 2 * len(rows)))
        keys = made.split.ragged(KEYS)
        corpus = corpus_of(vectors, keys.values)
    found = _negatives(
        corpus, choice, lambda done: told(len(rows) + done * len(rows) // len(corpus.queries), 2 * len(rows))
    )
    texts = [text for row in rows for text in (str(row.text), *row.labels)]
    number = {int(keys.values[text]): query for query, text in enumerate(vectors.offsets[:-1][corpus.first_query])}
    lines = []
    for row, start in zip(rows, vectors.offsets[:-1], strict=True):
        negatives = [texts[corpus.first_passage[one]] for one in found[number[int(keys.values[start])]]]
        if negatives:
            lines.append({"query": row.text, "positive": row.labels[0], "negatives": negatives})
    _write(lines, output)
    return {
        "file": str(output),
        "rows": len(lines),
        "without": len(rows) - len(lines),
        "queries": len(corpus.queries),
        "passages": len(corpus.passages),
        "negatives": sum(len(line["negatives"]) for line in lines),
    }


def _vectors(saved: SavedModel, made: Encoded, told: Callable[[int], None]) -> Ragged:
    """Of all texts of all rows."""
    split, batches, keeping = made.split, Batches(saved.work, CPU), Keeping(made.split.rows)
    order = np.argsort(-split.cost, kind="stable")
    with torch.inference_mode():
        for start in range(0, len(order), EVALUATION_ROWS):
            rows = order[start : start + EVALUATION_ROWS]
            inputs, wanted = batches(split, rows)
            keeping.add(rows, saved.work.keep(outputs_of(saved.model, inputs, saved.work.outputs), wanted))
            told(start + len(rows))
    return as_ragged(keeping.together(World(0, 0, 1, CPU))[EMBEDDINGS])


def _negatives(corpus: Corpus, choice: Choice, told: Callable[[int], None]) -> list[np.ndarray]:
    """For each query the numbers of its passages, the nearest first."""
    found: list[np.ndarray] = []
    for start in range(0, len(corpus.queries), QUERIES):
        queries = slice(start, min(start + QUERIES, len(corpus.queries)))
        own = slice(*np.searchsorted(corpus.pairs[:, 0], (queries.start, queries.stop)))
        query, passage = corpus.pairs[own, 0] - start, corpus.pairs[own, 1]
        right = np.full(queries.stop - queries.start, np.inf, dtype=np.float32)
        cosines = np.einsum("pw,pw->p", corpus.queries[queries][query], corpus.passages[passage])
        np.minimum.at(right, query, cosines)  # of several right ones the farthest
        best = [_Nearest(choice.skip + choice.count) for _ in right]
        highest = choice.highest(right)
        for first, block in cosines_in_blocks(corpus, queries):
            here = np.flatnonzero((passage >= first) & (passage < first + block.shape[1]))
            block[query[here], passage[here] - first] = -np.inf
            block[block > highest[:, None]] = -np.inf
            for nearest, values in zip(best, block, strict=True):
                nearest.add(values, first)
        found += [nearest.numbers[choice.skip :] for nearest in best]
        told(queries.stop)
    return found


class _Nearest:
    """The passages of the highest cosines; of equal ones those that stand first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.values, self.numbers = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)

    def add(self, values: np.ndarray, first: int) -> None:
        """Of passages from `first` on; -inf is none."""
        there = np.flatnonzero(values > -np.inf)
        if len(there) > self.most:
            least = np.partition(values[there], -self.most)[-self.most]
            there = there[values[there] >= least]
        values, numbers = np.append(self.values, values[there]), np.append(self.numbers, there + first)
        order = np.lexsort((numbers, -values))[: self.most]
        self.values, self.numbers = values[order], numbers[order]


def _write(lines: Sequence[dict[str, Any]], output: Path) -> None:
    def text() -> Iterator[str]:
        for line in lines:
            yield json.dumps(line, ensure_ascii=False) + "\n"

    beside = output.with_name(f".{output.name}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(text())
        beside.replace(output)
    except OSError as error:
        raise DataError(Problem(f"the rows cannot be written: {error}", str(output))) from None
