"""One label for one image (`one_label`): what is on disk is decoded and resized; a batch is cropped and normalised.

A training image is changed at random by the seed, the epoch and its row, whoever computes it and however often.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.errors import DataError, Problem
from launcher.recipe.task import ImageClassification
from launcher.training.batches.order import uniforms
from launcher.training.batches.split import Split, as_array
from launcher.training.data import Row
from launcher.training.data.pictures import FORMATS, looked_at
from launcher.training.data.preparation import Preparation
from launcher.training.tasks.base import Arrays, Draw, Encoded, Kept, Text
from launcher.training.tasks.image_changes import NUMBERS, Changes
from launcher.training.tasks.one_label import OneLabelWork
from launcher.training.tasks.texts import on_host
from launcher.training.tasks.views import Sheet, View

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors

CANVAS, PIXELS = "canvas", "pixel_values"
"""The column on disk, uint8 [rows, height, width, 3], and what the model takes, float32 [rows, 3, height, width]."""
BLOCK_BYTES = 2**25
"""Of images that are prepared together: what `prepare` takes does not grow with the number of images."""
FIRST = 5
"""Of the likeliest labels one is right: the metric beside accuracy."""
SHOWN = 24
"""Misclassified images on a sheet: those of which the model was surest."""


class Work(OneLabelWork):
    """See `launcher.training.tasks.base.TaskWork`."""

    metric_names = tuple(ImageClassification.metrics)
    inputs = {PIXELS: None}  # noqa: RUF012 (the base class types it as a Mapping)
    wanted = {"labels": 0}  # noqa: RUF012 (likewise)
    counted = "images"
    feeds_any_token = True  # there is no table of tokens whose rows could train alone
    made_ahead = True

    @property
    def preparation(self) -> Preparation:
        """How an image becomes the model's numbers."""
        assert self.reader.images is not None
        return self.reader.images

    @property
    def rows_at_a_time(self) -> int:
        """As many images as fit into `BLOCK_BYTES` once they are resized."""
        return max(1, min(super().rows_at_a_time, BLOCK_BYTES // math.prod(self.preparation.canvas_shape)))

    @cached_property
    def changes(self) -> Changes:
        """What is changed at random."""
        task, size = self.task, self.preparation
        assert isinstance(task, ImageClassification)
        red, green, blue = (round(min(255.0, max(0.0, mean / size.scale))) for mean in size.mean)
        kinds = (task.crop, task.flip, task.rotation, task.colour)
        return Changes(size.height, size.width, *kinds, (red, green, blue))

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """`canvas`, decoded and resized by all cores, and `labels`."""
        canvases = np.empty((len(examples), *self.preparation.canvas_shape), dtype=np.uint8)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            for number, canvas in enumerate(threads.map(self._canvas, examples)):
                canvases[number] = canvas
        labels, targets = self.classes_of(examples)
        columns = {CANVAS: canvases, "labels": labels}
        rows = len(examples)
        split = Split(columns, {"loss": targets}, np.ones(rows, dtype=np.int64), np.arange(rows))
        return Encoded(split, np.zeros(rows, dtype=bool))

    def _canvas(self, row: Row) -> np.ndarray:
        assert row.image is not None
        try:
            return self.preparation.canvas(row.image.pixels())
        except ValueError as error:  # it could be decoded when the data was read
            raise DataError(Problem(f"the image cannot be used: {error}", row.where)) from None

    def example(self, text: Text) -> Row:
        """The image at this path. Raises DataError where there is none."""
        try:
            return Row(str(text), self.labels[0], str(text), image=looked_at(Path(str(text))))
        except ValueError as error:
            raise DataError(Problem(f"the image cannot be used: {error}", str(text))) from None

    def collate(self, split: Split, rows: np.ndarray, draw: Draw | None) -> Arrays:
        """Canvases cropped, or changed where there is a `draw`, and normalised."""
        canvases = split.array(CANVAS)
        if draw is None or not self.changes.any:
            pixels = self.preparation.view(canvases[rows])
        else:
            drawn = (uniforms(NUMBERS, draw.seed, draw.epoch, int(row)) for row in rows)
            changed = [self.changes.changed(canvases[row], numbers) for row, numbers in zip(rows, drawn, strict=True)]
            pixels = np.stack(changed)
        return {PIXELS: self.preparation.normalised(pixels), "labels": split.array("labels")[rows]}

    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, np.ndarray]:
        """`predicted`, and `before`: how many labels the model puts before the right one, int32 [rows].

        Of labels with the same logit the first comes first, as in `predicted`; a logit that is no number is not passed.
        """
        logits, labels = self.logits(outputs), wanted["labels"][:, None]
        right = logits.gather(-1, labels)
        first = (logits == right) & (labels.new_tensor(range(logits.shape[-1])) < labels)
        before = ((logits <= right).logical_not() | first).sum(dim=-1)
        return {**super().keep(outputs, wanted), "before": on_host(before, np.int32)}

    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """As of every task of one label, and how often the right one is among the five likeliest."""
        scores = super().score(split, kept)
        among = float((as_array(kept.values["before"]) < FIRST).mean()) if split.rows else 0.0
        return {"accuracy": scores.pop("accuracy"), "top5_accuracy": among, **scores}

    def views(self, split: Split, kept: Kept) -> Iterator[View]:
        """The usual ones, and a sheet of the images that were misclassified."""
        yield from super().views(split, kept)
        if not kept.details:
            return
        gold = split.array("labels")[kept.detailed]
        probabilities = as_array(kept.details["probabilities"])
        predicted, sure = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
        wrong = np.flatnonzero(predicted != gold)
        wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:SHOWN]
        if len(wrong):
            lines = [f"{self.labels[gold[n]]}: taken for {self.labels[predicted[n]]} ({sure[n]:.2f})" for n in wrong]
            images = self._seen(split, kept.detailed[wrong])
            title = "misclassified images, those first of which the model was surest"
            yield Sheet("misclassified", title, list(zip(images, lines, strict=True)))

    def for_readers(self) -> dict[str, Any]:
        """How an image becomes numbers."""
        return {"size": {**asdict(self.preparation), "formats": FORMATS}}

    def sheet(self, split: Split, rows: np.ndarray) -> Sheet:
        """These images as they are evaluated, under their labels."""
        lines = [self.labels[number] for number in split.array("labels")[rows]]
        return Sheet("images", "images as the model sees them", list(zip(self._seen(split, rows), lines, strict=True)))

    def _seen(self, split: Split, rows: np.ndarray) -> Iterator[np.ndarray]:
        """The images of these rows, before their pixels are normalised."""
        return (self.preparation.view(split.array(CANVAS)[row]) for row in rows)

    def shown(self, split: Split, row: int) -> str:
        """Its label and its size."""
        height, width, _ = self.preparation.canvas_shape
        return f"{self.labels[split.array('labels')[row]]}: an image, {width} x {height} once it is resized"

    def sample(self, rows: int, length: int) -> tuple[Tensors, Tensors]:
        """Of so many images of the model's size; they have no length."""
        import torch

        pixels: torch.Tensor = torch.zeros((rows, 3, self.preparation.height, self.preparation.width))
        return {PIXELS: pixels}, {"labels": torch.zeros(rows, dtype=torch.int64)}
