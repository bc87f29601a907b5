"""What a run shows of its data and its result: handed to the board as functions, drawn while the run goes on.

data, data/labels, data/lengths    before the first step
model                              its tensors, and which of them train
test/classes, test/confusion-…     after the test, from what was said in it: it is not looked at again
test/precision-recall
tokens                             vectors of the trained model, for the projector
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from launcher.recipe.metrics import finite_number
from launcher.runs.run_files import read_json
from launcher.training.batches.split import Split
from launcher.training.data.checks import label_counts
from launcher.training.report.figures import labels_figure, lengths_figure
from launcher.training.report.fonts import fonts_for
from launcher.training.report.predictions import PredictionRecorder
from launcher.training.report.result_figures import classes_figure, confusion_figure, precision_recall_figure
from launcher.training.report.tensorboard import Board
from launcher.training.report.token_points import Points, token_points
from launcher.training.sources import load_tokenizer
from launcher.training.tasks import TaskWork

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS_AT_A_TIME = 1000
EXAMPLES = 3


def show_data(board: Board, prepared: Path) -> None:
    """Counts, examples, label balance and lengths of what `prepare` wrote."""
    facts = read_json(prepared / "facts.json")

    def labels() -> Figure:
        if note := fonts_for(facts["labels"]).note():  # once for all figures: the labels stand in most of them
            board.say(note)
        return labels_figure(counts)

    def lengths() -> Figure:
        splits = {name: Split.load(prepared / f"{name}.safetensors").lengths for name in facts["rows"]}
        return lengths_figure(splits, facts["max_length"])

    counts = label_counts(facts["labels"], facts["report"])
    board.text("data", lambda: data_in_words(facts, prepared))
    if counts:  # where the answers are numbers there are none
        board.figure("data/labels", labels, 0)
    board.figure("data/lengths", lengths, 0)


def data_in_words(facts: Mapping[str, Any], prepared: Path) -> str:
    """A table of the splits, what is odd about them, and rows of train as the model sees them (Markdown)."""
    duplicates, tokenizer = facts["report"]["duplicates"], load_tokenizer(prepared)
    splits = {name: Split.load(prepared / f"{name}.safetensors") for name in facts["rows"]}
    head = ("split", "rows", "tokens", "of these unknown", "rows cut", "rows repeated", "texts under several labels")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, split in splits.items():
        ids = split.columns["input_ids"]
        counts = [split.rows, len(ids), int((ids == tokenizer.unk_token_id).sum()), facts["truncated"][name]]
        counts += [duplicates["repeated"][name], duplicates["conflicting"][name]]
        lines.append(f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |")
    warnings = facts["report"]["warnings"]
    shared = [f"{pair} share {count:,} texts" for pair, count in duplicates["shared"].items() if count]
    shared = [told for told in shared if not any(warning.startswith(told) for warning in warnings)]
    lines += ["", *(f"- {told}" for told in [*warnings, *shared])]
    train = splits["train"]
    for row in range(0, train.rows, max(1, train.rows // EXAMPLES))[:EXAMPLES]:
        lines += ["", f"    {_as_seen(train, row, tokenizer, facts['labels'])}"]
    return "\n".join(lines)


def _as_seen(split: Split, row: int, tokenizer: Any, labels: Sequence[str]) -> str:
    """A row's tokens, each with its tag where the loss is taken; before them the label of a text that has one."""
    start, stop = split.columns["offsets"][row : row + 2]
    tokens = tokenizer.convert_ids_to_tokens(split.columns["input_ids"][start:stop].tolist())
    wanted = split.columns["labels"]
    if "gold" in split.columns:
        tags = [f"/{labels[tag]}" if tag >= 0 else "" for tag in wanted[start:stop]]
        tokens = [f"{token}{tag}" for token, tag in zip(tokens, tags, strict=True)]
    elif wanted.ndim == 1 and len(wanted) == split.rows:
        is_class = np.issubdtype(wanted.dtype, np.integer)
        tokens = [f"{labels[wanted[row]] if is_class else format(wanted[row], '.6g')}:", *tokens]
    return " ".join(tokens)


class ResultGallery:
    """The result of a run on its test split. Nothing in here may end a run: what breaks is said."""

    def __init__(self, board: Board, work: TaskWork, labels: Sequence[str], split: Split, prepared: Path):
        self.board, self.work, self.labels, self.split, self.prepared = board, work, labels, split, prepared
        self.recorder = PredictionRecorder(split, len(labels))
        self.points: Points | None = None

    def look(self, model: nn.Module) -> None:
        """Keep what is shown of the trained model, which does not last."""
        try:
            self.points = token_points(model, load_tokenizer(self.prepared), self.split.columns, self.labels)
        except Exception as error:  # a source of the user's own may have a table of another kind
            self.board.say(f"the token vectors are not shown: {type(error).__name__}: {error}")

    def doubts(self, selected: Mapping[str, Any], metric: str, step: int) -> list[str]:
        """What makes the result doubtful: nothing to select a step by, or one answer to everything."""
        doubts = []
        if finite_number(selected.get(metric)) is None:
            doubts.append(f"no evaluation had a finite {metric}: the weights of the last step, {step}, are kept")
        predicted = self.recorder.predicted
        if predicted is not None and len(np.unique(predicted)) == 1 and len(np.unique(self._gold())) > 1:
            answer = ("no", "yes")[predicted[0]] if self.recorder.yes_or_no else repr(self.labels[predicted[0]])
            do = "train longer or with another learning rate, and see that no label is rare"
            doubts.append(f"every answer on the test split is {answer}: nothing useful was learnt; {do}")
        return doubts

    def show(self, test: Mapping[str, Any], step: int) -> None:
        """Hand over what the test split and its metrics show; on the rank that leads."""
        board, recorder = self.board, self.recorder
        if test.get("classes"):
            board.figure("test/classes", lambda: classes_figure(test["classes"]), step)
        board.figures("the confusion matrix", self._confusions, step)
        if recorder.broken:
            board.say(f"the precision-recall curves are not drawn: {recorder.broken}")
        else:
            of = "tokens" if "gold" in self.split.columns else "texts"
            board.figure("test/precision-recall", lambda: precision_recall_figure(of, self._against_the_rest()), step)
        if self.points is not None:
            points = self.points
            board.points("tokens", lambda: points, step)

    def _confusions(self) -> Iterator[tuple[str, Figure]]:
        """One figure for each kind of thing that the task can take for another; several labels have none."""
        confusions = getattr(self.work, "confusions", None)  # a task of the user's own need not have them
        for found in confusions(self.split.columns, self.recorder.predicted, self.labels) if confusions else ():
            yield f"test/confusion-{found.of}", confusion_figure(found)

    def _against_the_rest(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """For each label, whether the kept targets are of it, and the probabilities that it was given."""
        recorder = self.recorder
        gold, places = self._gold()[:: recorder.stride], np.arange(0, recorder.targets, recorder.stride)
        told = {}
        for number, label in enumerate(self.labels):
            if recorder.yes_or_no:  # a text's decisions follow each other
                mine = places % len(self.labels) == number
                told[label] = (gold[mine] == 1, recorder.scores[mine, 0])
            else:
                told[label] = (gold == number, recorder.scores[:, number])
        return told

    def _gold(self) -> np.ndarray:
        """The class number of every target."""
        found = []
        for start in range(0, self.split.rows, ROWS_AT_A_TIME):
            rows = np.arange(start, min(start + ROWS_AT_A_TIME, self.split.rows))
            labels = self.work.batch_labels(self.split.columns, rows, int(self.split.lengths[rows].max(initial=1)))
            found.append(labels[labels != -100])
        return np.concatenate(found)
