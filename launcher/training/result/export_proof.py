"""How the formats of an export answer the whole test split, beside the model that they were made of."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from launcher.errors import Problem, WorkerError
from launcher.json_files import finite
from launcher.recipe.task import metrics_of
from launcher.training.batches.split import Column, Ragged, Split
from launcher.training.distributed.world import World
from launcher.training.evaluation import EVALUATION_ROWS, evaluate
from launcher.training.model_parts.one_thread import one_thread
from launcher.training.model_parts.outputs import Tensors, outputs_of
from launcher.training.model_parts.word_names import LIKELIEST, LOSSES, NONE, RIGHT, WHERE
from launcher.training.result.model_folder import SavedModel
from launcher.training.result.onnx_graph import TOLERANCE, difference
from launcher.training.result.writing import generator
from launcher.training.tasks.collate import Batches
from launcher.training.tasks.writing import writer
from launcher.training.written import Generate, measured_texts, write

Compute = Callable[[Tensors], Tensors]
MOST_NUMBERS = 20_000_000
"""Of the model's outputs that are kept to be compared; of a longer split those of its first batches."""
TIMES = ("cpu_ms_p50", "cpu_ms_p95", "rows_per_second")
SINGLE, WARM = 100, 3
"""Rows that are computed one by one to see how long each takes, and those that are computed before."""
NEAR = 0.01
"""Answers that are numbers count as equal within this part of their range."""


@dataclass
class Measured:
    """What one format gave."""

    metrics: Mapping[str, Any]
    kept: Mapping[str, Column]
    outputs: list[tuple[Tensors, torch.Tensor | None]] = field(default_factory=list)
    """Of each batch, and its mask."""
    milliseconds: tuple[float, float] = (0.0, 0.0)
    """Of one thread for one row alone: the median, and what one in twenty is above."""
    rows_a_second: float = 0.0
    words: list[torch.Tensor] = field(default_factory=list)
    """Of a model that says words: the likeliest one at each place that it was asked about."""
    texts: Ragged | None = None
    """Of one that writes: the tokens of its texts."""
    of_texts: Mapping[str, Any] = field(default_factory=dict)
    """Its scores, which are among the metrics."""
    words_a_second: float = 0.0
    """In one thread, of what is written."""


class Proof:
    """The test split, and what the model itself makes of it."""

    def __init__(
        self,
        saved: SavedModel,
        split: Split,
        say: Callable[[str], None] = lambda line: None,
        written: int | None = None,
    ) -> None:
        self.saved, self.split, self.say, self.written = saved, split, say, written
        say(f"the model answers the {split.rows:,} rows of the test split")
        self.batches = Batches(saved.work, torch.device("cpu"))
        self.metric = saved.recipe.training.select_by or next(iter(metrics_of(saved.recipe.task)))
        likeliest = [LIKELIEST] if LOSSES in saved.work.outputs and LIKELIEST not in saved.work.outputs else []
        self.outputs = (*saved.work.outputs, *likeliest)
        """What is asked of a model."""
        self.model = self._measured(lambda inputs: outputs_of(saved.model, inputs, self.outputs), generator(saved))
        size = sum(weight.numel() * weight.element_size() for weight in saved.model.parameters())
        self.rows = [self._row("the model (torch)", self.model, size)]

    def add(
        self, name: str, compute: Compute, size: int, generate: Generate | None = None, timed: bool = True
    ) -> dict[str, Any]:
        """Measure another format; `timed` where this processor computes it."""
        self.say(f"{name} answers them")
        told = self._row(name, self._measured(compute, generate or generator(self.saved)), size)
        told |= {} if timed else dict.fromkeys(TIMES)
        self.rows.append(told)
        return told

    def refuse_below(self, floor: float | None) -> None:
        """Raise WorkerError where what was measured last has not reached it."""
        told, best = self.rows[-1], metrics_of(self.saved.recipe.task)[self.metric]
        value = told[self.metric]
        enough = value is not None and floor is not None and (value >= floor if best == "max" else value <= floor)
        if floor is not None and not enough:
            what = f"{told['format']}: {self.metric} {_shown(value)} on the test split, and the floor is {floor:g}"
            do = f"the model itself has {_shown(self.rows[0][self.metric])}; nothing was written"
            raise WorkerError(Problem(what, do=do))

    def refuse_apart(self) -> None:
        """Raise WorkerError where what was measured last gives other outputs than the model."""
        told, scale = (
            self.rows[-1],
            max(float(v.abs().max()) for given, _ in self.model.outputs for v in given.values()),
        )
        if not told["largest_difference"] <= TOLERANCE * max(scale, 1e-6):
            what = (
                f"{told['format']} answers the test split otherwise than the model, by {told['largest_difference']:.2g}"
            )
            do = "please report this with the recipe; nothing was written"
            raise WorkerError(Problem(f"{what}, where the largest number is {scale:.3g}", do=do))

    def _row(self, name: str, measured: Measured, size: int) -> dict[str, Any]:
        told: dict[str, Any] = {"format": name, "bytes": size, self.metric: measured.metrics.get(self.metric)}
        told |= {
            name: measured.metrics[name] for name in metrics_of(self.saved.recipe.task) if name in measured.of_texts
        }
        if measured is not self.model:
            told["largest_difference"] = max(
                difference(one, other, mask)
                for (one, mask), (other, _) in zip(self.model.outputs, measured.outputs, strict=True)
            )
            told["equal_answers"] = self._equal(measured)
            told |= self._equal_texts(measured)
        median, late = measured.milliseconds
        told |= {} if measured.texts is None else {"tokens_per_second": measured.words_a_second}
        return {**told, **dict(zip(TIMES, (median, late, measured.rows_a_second), strict=True))}

    def _equal(self, measured: Measured) -> float:
        if not self.model.words:
            return equal_answers(self.model.kept, measured.kept, self.split)
        same = torch.cat(self.model.words) == torch.cat(measured.words)
        return float(same.double().mean()) if len(same) else 1.0

    def _measured(self, compute: Compute, generate: Generate) -> Measured:
        outputs: list[tuple[Tensors, torch.Tensor | None]] = []
        words, room = list[torch.Tensor](), MOST_NUMBERS

        def recorded(inputs: dict[str, torch.Tensor]) -> Tensors:
            nonlocal room
            given = compute(inputs)
            names = [name for name in given if name not in self.saved.work.choices]
            room -= sum(given[name].numel() for name in names)
            if room > 0 or not outputs:
                mask = None if WHERE in inputs else inputs.get("attention_mask")  # outputs at words are none of tokens
                outputs.append(({name: given[name] for name in names}, mask))
            if LIKELIEST in given:
                words.append(given[LIKELIEST][inputs[RIGHT] != NONE])
            return given

        alone = World(0, 0, 1, torch.device("cpu"))
        with one_thread():
            began = time.process_time()
            given = evaluate(recorded, self.batches, self.split, alone, EVALUATION_ROWS)
            seconds = time.process_time() - began
            milliseconds = self._singly(compute)
        rate = self.split.rows / max(seconds, 1e-9)
        measured = Measured(given.metrics, given.kept.values, outputs, milliseconds, rate, words)
        return measured if writer(self.saved.work) is None else self._with_texts(measured, generate)

    def _with_texts(self, measured: Measured, generate: Generate) -> Measured:
        work, alone = writer(self.saved.work), World(0, 0, 1, torch.device("cpu"))
        assert work is not None
        rows = work.rows_to_write(self.split, self.written)
        with one_thread():
            began = time.process_time()
            texts = write(generate, work, self.split, rows, alone, EVALUATION_ROWS)
            seconds = time.process_time() - began
        scores = finite(measured_texts(work, self.split, rows, texts))
        rate = int(texts.lengths.sum()) / max(seconds, 1e-9)
        both = {**measured.metrics, **scores}
        return replace(measured, metrics=both, of_texts=scores, texts=texts, words_a_second=rate)

    def _equal_texts(self, measured: Measured) -> dict[str, Any]:
        if self.model.texts is None or measured.texts is None:
            return {}
        both = [(self.model.texts.row(row), measured.texts.row(row)) for row in range(len(self.model.texts.lengths))]
        equal = sum(np.array_equal(one, other) for one, other in both)
        return {"equal_texts": equal / max(1, len(both)), "texts": len(both)}

    def _singly(self, compute: Compute) -> tuple[float, float]:
        chosen = np.unique(np.linspace(0, self.split.rows - 1, SINGLE).astype(np.int64))
        taken = []
        with torch.inference_mode():
            for number in [*chosen[:WARM], *chosen]:
                inputs = self.batches(self.split, np.array([number])).inputs
                began = time.process_time()
                compute(inputs)
                taken.append(1000 * (time.process_time() - began))
        median, late = np.percentile(taken[len(chosen[:WARM]) :], [50, 95])
        return float(median), float(late)


def equal_answers(one: Mapping[str, Column], other: Mapping[str, Column], split: Split) -> float:
    """The share of examples whose rows were all answered alike."""
    numbers = {name: column for name, column in one.items() if _flat(column).dtype.kind in "iub"} or one
    same = np.ones(split.rows, dtype=bool)
    for name, column in numbers.items():
        ours, theirs = _flat(column), _flat(other[name])
        near = ours == theirs if ours.dtype.kind in "iub" else np.abs(ours - theirs) <= NEAR * np.ptp(ours)
        near = near.reshape(len(near), -1).all(axis=1)
        if isinstance(column, Ragged):
            near = np.array([near[start:stop].all() for start, stop in itertools.pairwise(column.offsets)], dtype=bool)
        same &= near
    wrong = np.unique(split.example[~same])
    return 1 - len(wrong) / max(1, split.examples)


def _flat(column: Column) -> np.ndarray:
    values: np.ndarray = column.values if isinstance(column, Ragged) else column
    return values


def _shown(value: float | None) -> str:
    return "no value" if value is None else f"{value:.4f}"
