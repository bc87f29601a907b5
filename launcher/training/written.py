"""Texts written for rows of a split, over all ranks: each row once, the same texts at any world size.

Rows of similar length make a group, and a group is computed by one rank. So what stands beside a row in its batch does
not depend on how many ranks there are, and greedy texts are the same to the last token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from launcher.errors import Problem, WorkerError
from launcher.json_files import finite
from launcher.recipe.metrics import finite_number
from launcher.runs import pulse
from launcher.training.batches.order import MicroBatch
from launcher.training.batches.split import Ragged, Split
from launcher.training.distributed.world import World
from launcher.training.evaluation import SECONDS_TO_COUNT, Evaluated, Stopped
from launcher.training.model_parts.outputs import Tensors
from launcher.training.tasks.base import Arrays
from launcher.training.tasks.collate import Batches
from launcher.training.tasks.keeping import Keeping
from launcher.training.tasks.writing import Writes, writer

Generate = Callable[[Tensors, Mapping[str, Any], Sequence[int]], torch.Tensor]
"""`(inputs, words, numbers of the rows' examples) -> tokens`, as `Strategy.generate`."""
GROUPS = 16
"""A split makes at least so many groups, so that several ranks have something to do."""
SHOWN = 8
"""Texts that are shown of an evaluation, evenly spread."""
LONGEST_SHOWN = 1000
"""Characters of a shown text."""
SECONDS_A_TEXT = 0.05
"""How long scores may take for each."""


def write(
    generate: Generate,
    work: Writes,
    split: Split,
    rows: np.ndarray,
    world: World,
    most: int,
    stop_asked: Callable[[], bool] = lambda: False,
    prompts_of: Callable[[Split, np.ndarray], Arrays] | None = None,
) -> Ragged:
    """The tokens written for these rows of the split, in their order, on every rank; without those that end them.

    `prompts_of` gives what the model goes on from, if not the task's `prompts`. A process writes at most `most` texts
    at a time. All ranks call `generate` equally often. Raises Stopped on every rank when any has a stop request.
    """
    pulse.enter("writing")
    keeping, words = Keeping(len(rows)), work.limits()
    most = max(1, most // int(words["num_beams"]))
    for part in _parts(split.cost[rows], most, world):
        vote = world.start_vote(stop_asked())
        numbers = rows[part.rows]
        prompts = (prompts_of or work.prompts)(split, numbers)
        inputs = {name: torch.from_numpy(values).to(world.device) for name, values in prompts.items()}
        tokens = generate(inputs, words, split.example[numbers].tolist()).cpu().numpy()
        written = Ragged.of([without_end(row, work.ends).tolist() for row in tokens], np.int32)
        keeping.add(part.rows, {"tokens": written}, part.counts)
        pulse.tick("writing")
        if world.count_vote(vote):
            raise Stopped
    together = keeping.together(world)["tokens"]
    assert isinstance(together, Ragged)
    return together


def with_texts(
    evaluated: Evaluated,
    generate: Generate,
    batches: Batches,
    split: Split,
    wanted: int | None,
    world: World,
    most: int,
    stop_asked: Callable[[], bool] = lambda: False,
) -> Evaluated:
    """The same with the metrics of texts, where the task writes: also how many, and `texts`, some of them with their
    prompts and references.

    They are written for `wanted` rows of the split (see `training.generate_rows`; for none where it is 0). The same on
    every rank. Raises as `write` does.
    """
    work = writer(batches.work)
    rows = np.zeros(0, np.int64) if work is None or wanted == 0 else work.rows_to_write(split, wanted)
    if work is None or not len(rows):
        return evaluated
    tokens = write(generate, work, split, rows, world, most, stop_asked)
    pulse.tick("measuring", allowed=SECONDS_TO_COUNT + len(rows) * SECONDS_A_TEXT)
    metrics = measured_texts(work, split, rows, tokens) if world.leads else {}
    told: dict[str, Any] = json.loads(world.tell(json.dumps(finite(metrics), default=str).encode()))
    return replace(evaluated, metrics={**evaluated.metrics, **told})


def without_end(tokens: np.ndarray, ends: Sequence[int]) -> np.ndarray:
    """What was written before the first token that ends a text."""
    stops = np.flatnonzero(np.isin(tokens, ends))
    return tokens[: stops[0]] if len(stops) else tokens


def _parts(cost: np.ndarray, most: int, world: World) -> Iterator[MicroBatch]:
    """This rank's groups; equally many on every rank. One without any left computes one row that does not count."""
    order = np.argsort(-cost, kind="stable")
    size = max(1, min(most, len(order) // GROUPS))
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    for first in range(0, len(groups), world.size):
        own = first + world.rank
        yield MicroBatch(groups[own]) if own < len(groups) else MicroBatch(groups[-1][:1], counts=False)


def measured_texts(work: Writes, split: Split, rows: np.ndarray, tokens: Ragged) -> dict[str, Any]:
    """Scores of the texts written for these rows, how many they are, and some of them."""
    texts = [work.written(tokens.row(number)) for number in range(len(rows))]
    scores = work.score_texts(split, rows, texts)
    if not isinstance(scores, dict):
        do = "return a dict of floats, such as {'bleu': 31.2}"
        raise WorkerError(Problem(f"score_texts() of the task returned {type(scores).__name__}, not a dict", do=do))
    some = np.arange(0, len(rows), max(1, len(rows) // SHOWN))[:SHOWN]
    asked, wanted = work.asked(split, rows[some]), work.references(split, rows[some])
    shown = [
        {"prompt": _cut(prompt), **({"reference": _cut(wanted[at])} if wanted else {}), "text": _cut(texts[row])}
        for at, (row, prompt) in enumerate(zip(some, asked, strict=True))
    ]
    said = {name: value if isinstance(value, str) else finite_number(value) for name, value in scores.items()}
    return {**said, "written": len(rows), "texts": shown}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
