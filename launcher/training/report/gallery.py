"""What a run shows of its data and its result: handed to the board as functions, drawn while the run goes on.

data, data/labels, data/lengths    before the first step (of images data/images)
model                              its tensors, and which of them train
test/classes, test/confusion-…     after the test, from what was kept of it: it is not evaluated again
test/precision-recall, test/misclassified, test/f1-by-length
test/transitions                   what a head of our own has learnt besides, as a CRF's transitions
tokens                             vectors of the trained model, for the projector
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
import torch
from torch import nn

from launcher.recipe.about_images import reads_images
from launcher.recipe.fields import NAMED
from launcher.recipe.metrics import finite_number
from launcher.recipe.task import answer_of
from launcher.runs.run_files import read_json
from launcher.training.batches.split import Split
from launcher.training.data.checks import label_counts
from launcher.training.report.figures import labels_figure, lengths_figure
from launcher.training.report.fonts import fonts_for
from launcher.training.report.result_figures import (
    bars_figure,
    classes_figure,
    confusion_figure,
    precision_recall_figure,
    sheet_figure,
    transitions_figure,
)
from launcher.training.report.tensorboard import Board
from launcher.training.report.token_points import Points, token_points
from launcher.training.sources.own_heads import OwnHead, Table
from launcher.training.tasks.base import Kept, TaskWork
from launcher.training.tasks.views import AgainstTheRest, Bars, Confusion, Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXAMPLES = 3
SHEET = 40
"""Images on the sheet of the data."""


def show_data(board: Board, prepared: Path, work: TaskWork) -> None:
    """Counts, examples, label balance and lengths of what `prepare` wrote."""
    facts = read_json(prepared / "facts.json")

    def labels() -> Figure:
        if note := fonts_for(facts["labels"]).note():  # once for all figures: most of them show the labels
            board.say(note)
        return labels_figure(counts)

    def lengths() -> Figure:
        told = {name: Split.load(prepared / f"{name}.safetensors").lengths_of_inputs for name in facts["rows"]}
        ((of, _), *_) = told.values()
        return lengths_figure({name: values for name, (_, values) in told.items()}, facts["max_length"], of)

    counts = label_counts(facts["labels"], facts["report"])
    board.text("data", lambda: data_in_words(facts, prepared, work))
    if counts:  # there are none where the answers are no names
        board.figure("data/labels", labels, 0)
    if reads_images(work.task):
        board.figure("data/images", lambda: sheet_figure(first_images(work, prepared)), 0)
    else:
        board.figure("data/lengths", lengths, 0)


def first_images(work: TaskWork, prepared: Path) -> Sheet:
    """Evenly spread images of train as the model sees them, under their labels."""
    split = Split.load(prepared / "train.safetensors")
    return work.sheet(split, np.arange(0, split.rows, max(1, split.rows // SHEET))[:SHEET])


def data_in_words(facts: Mapping[str, Any], prepared: Path, work: TaskWork) -> str:
    """A table of the splits, what is odd about them, and rows of train as the model sees them (Markdown)."""
    duplicates, of_images = facts["report"]["duplicates"], reads_images(work.task)
    splits = {name: Split.load(prepared / f"{name}.safetensors") for name in facts["rows"]}
    of_tokens = () if of_images else ("tokens", "of these unknown", "rows cut")
    head = ("split", "rows", *of_tokens, "rows repeated", f"{'image' if of_images else 'text'}s under several answers")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, split in splits.items():
        counts, ids = [split.examples], split.token_ids
        if not of_images:
            counts += [len(ids), int((ids == work.tokenizer.unk_token_id).sum()), facts["truncated"][name]]
        counts += [duplicates["repeated"][name], duplicates["conflicting"][name]]
        lines.append(f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |")
    warnings, rows = facts["report"]["warnings"], head[-1].partition(" ")[0]
    shared = [f"{pair} share {count:,} {rows}" for pair, count in duplicates["shared"].items() if count]
    shared = [line for line in shared if not any(warning.startswith(line) for warning in warnings)]
    lines += ["", *(f"- {line}" for line in [*warnings, *shared])]
    train = splits["train"]
    for row in range(0, train.rows, max(1, train.rows // EXAMPLES))[:EXAMPLES]:
        lines += ["", f"    {work.shown(train, row)}"]
    return "\n".join(lines)


class ResultGallery:
    """The result of a run on its test split. Nothing in here may end a run: what breaks is reported."""

    def __init__(self, board: Board, work: TaskWork, split: Split, kept: Kept):
        self.board, self.work, self.split, self.kept = board, work, split, kept
        self.points: Points | None = None
        self.table: Table | None = None

    def look(self, model: nn.Module) -> None:
        """Keep what is shown of the trained model, which is freed afterwards."""
        if reads_images(self.work.task):
            return
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, OwnHead):  # of a head that a method copied the copy trains: it comes last
                    self.table = module.shown(self.work.labels)
        try:
            self.points = token_points(model, self.work, self.split)
        except Exception as error:  # a source of the user's own may have a table of another kind
            self.board.say(f"the token vectors are not shown: {type(error).__name__}: {error}")

    def doubts(self, selected: Mapping[str, Any], metric: str, step: int) -> list[str]:
        """What makes the result doubtful: nothing to select a step by, or one answer to everything."""
        doubts = []
        if finite_number(selected.get(metric)) is None:
            doubts.append(f"no evaluation had a finite {metric}: the weights of the last step, {step}, are kept")
        try:
            answer = self.work.only_answer(self.split, self.kept)
        except Exception as error:  # a task of the user's own may keep something else
            self.board.say(f"whether every answer is the same is not known: {type(error).__name__}: {error}")
            answer = ""
        if answer:
            do = "train longer or with another learning rate"
            do += ", and see that no label is rare" if answer_of(self.work.task) in NAMED else ""
            doubts.append(f"every answer on the test split is {answer}: nothing useful was learnt; {do}")
        return doubts

    def show(self, test: Mapping[str, Any], step: int) -> None:
        """Hand over what the test split and its metrics show; on the rank that leads."""
        board = self.board
        if test.get("classes"):
            board.figure("test/classes", lambda: classes_figure(test["classes"]), step)
        board.figures("what the test split shows", self._views, step)
        if self.kept.broken:
            board.say(f"the precision-recall curves are not drawn: {self.kept.broken}")
        if self.table is not None:
            table = self.table
            board.figure("test/transitions", lambda: transitions_figure(*table), step)
        if self.points is not None:
            points = self.points
            board.points("tokens", lambda: points, step)

    def _views(self) -> Iterator[tuple[str, Figure]]:
        """One figure for each view that the task gives."""
        for view in self.work.views(self.split, self.kept):
            match view:
                case Confusion():
                    yield f"test/confusion-{view.of}", confusion_figure(view)
                case AgainstTheRest():
                    yield "test/precision-recall", precision_recall_figure(view.of, view.classes)
                case Bars():
                    yield f"test/{view.file}", bars_figure(view)
                case Sheet():
                    yield f"test/{view.name}", sheet_figure(view)
                case _:
                    assert_never(view)
