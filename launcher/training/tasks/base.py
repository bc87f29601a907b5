"""What a task answers: from the rows of the data to a batch, a loss, metrics, and answers for a user.

    encode      rows of the data -> rows of a split       in `prepare`, `evaluate --data` and `predict` alike
    collate     rows of a split -> a batch
    loss        of a batch, summed over its targets
    keep        what evaluation needs of a batch's outputs, small and a row each
    score       metrics of a whole split, from what was kept of all its rows
    tell        the answer of `predict` to one example

A *target* is one thing the loss is averaged over: a text, a label's yes or no, a labelled token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from launcher.errors import DataError, Problem, WorkerError
from launcher.exported.given import Text as Text
from launcher.exported.given import likeliest
from launcher.printing import json_line
from launcher.training.batches.rows import Draw as Draw
from launcher.training.batches.split import TOKENS, Column, Ragged, Split, rows_in
from launcher.training.tasks.encoding import Encoded as Encoded
from launcher.training.tasks.encoding import Kept as Kept
from launcher.training.tasks.views import Sheet, View

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from launcher.recipe.task import PlainTask
    from launcher.training.data import Row
    from launcher.training.data.preparation import Preparation
    from launcher.training.model_parts.outputs import Tensors

Arrays = dict[str, np.ndarray]
BLOCK = 4096
IGNORED = -100
"""The class number of what is no target."""


class Reader(NamedTuple):
    """What a task reads and names things by: tokenizer and label set, whose order gives the class numbers.

    Where answers are numbers the set is one name, of the model's one output.
    """

    labels: Sequence[str]
    tokenizer: PreTrainedTokenizerBase | None
    """None where rows are images."""
    max_length: int
    """Of an input in tokens; of an image its larger side in pixels."""
    images: Preparation | None = None
    """How they become a model's numbers."""


def encoded(work: TaskWork, examples: Sequence[Row]) -> Encoded:
    """What the task makes of these rows of the data. Raises DataError where its parts do not belong together."""
    made = work.encode(examples)
    split, rows = made.split, made.split.rows
    lengths = {f"the column {name!r}": rows_in(column) for name, column in split.columns.items()}
    lengths |= {"example": len(split.example)} | {f"the targets {n!r}": len(t) for n, t in split.targets.items()}
    problems = [f"{name} has {count:,} rows, and cost {rows:,}" for name, count in lengths.items() if count != rows]
    count = len(examples) - made.left_out
    if not problems and not np.array_equal(np.unique(split.example), np.arange(count)):
        problems = [f"example does not name each of the {count:,} examples from 0 on"]
    elif not problems and (np.diff(split.example) < 0).any():
        problems = ["the rows of one example do not follow each other"]
    if len(made.truncated) != count:
        problems.append(f"truncated has {len(made.truncated):,} values for {count:,} examples")
    if problems:
        do = "give each column, targets, cost and example a value for each row, and truncated one for each example"
        raise DataError([Problem(f"encode() of the task: {problem}", do=do) for problem in problems])
    return made


class TaskWork(ABC):
    """One task at work on one label set. Immutable; `for_training` gives the one whose loss is trained on.

    Files behind `CustomTask` inherit from it, or rather from the class of the task that theirs is like.
    """

    metric_names: tuple[str, ...] = ("loss",)
    """The metrics that a model can be selected by."""
    inputs: Mapping[str, int | None]
    """The columns that the forward pass takes, under its own names, and what they are padded with; None is the padding
    token. One that a split does not have is left out."""
    wanted: Mapping[str, int]
    """The columns that the loss takes, likewise."""
    outputs: tuple[str, ...] = ("logits",)
    """What the loss takes of the forward pass: names of its outputs."""
    choices: frozenset[str] = frozenset()
    """Outputs that are numbers of what is likeliest. Two that are all but equal may change places, so these prove
    nothing of a model that was read back."""
    feeds_any_token = False
    """Whether `collate` may put tokens into a batch that its rows do not have. Then the whole table of tokens trains;
    else only the rows that the training split names do, and only they travel between ranks."""

    chosen: Mapping[str, Any] = MappingProxyType({})
    """What `score` and `tell` go by that was chosen on the validation split, as JSON values; saved with the model."""
    cut_off = "end"
    """What is not looked at of a text that is longer than the model takes: its `end`, or its `beginning`."""
    couples = False
    """Whether its loss is one of a whole batch (`steps.whole_batch`): `score` gives that of a split, and the task has
    `wanted_of` and `outputs_among`."""
    made_ahead = False
    """Whether a batch takes so long to make that the next one is made while this one is computed."""

    def __init__(self, task: PlainTask, reader: Reader):
        self.task, self.reader = task, reader
        self.labels = list(reader.labels)

    @property
    def rows_at_a_time(self) -> int:
        """Rows of the data that `encode` is given: the tokenizer's own objects take many times what is kept of them."""
        return BLOCK

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Of a task that reads texts."""
        assert self.reader.tokenizer is not None, "images have no tokens"
        return self.reader.tokenizer

    def for_training(self, train: Split) -> Self:
        """The same with the loss that is trained on, which may be weighted by what the training split holds."""
        return self

    def settled_by(self, metrics: Mapping[str, Any]) -> Self:
        """The same with what was `chosen` on the validation split, from the metrics that `score` gave there at the step
        whose weights are kept; or from what a saved model says was chosen.
        """
        return self

    def problems(self) -> Iterator[Problem]:
        """What of the task does not suit the model's tokenizer; asked once, before a row is encoded.

        `where` is a field of the recipe.
        """
        return iter(())

    def warnings(self) -> list[str]:
        """What a user should know of how the two go together; each one sentence."""
        return []

    @abstractmethod
    def encode(self, examples: Sequence[Row]) -> Encoded:
        """Tokenise rows of the data. Called for blocks of them; gives the same columns for every block."""

    @abstractmethod
    def example(self, text: Text) -> Row:
        """A row for a text without a label: under any label, which is not looked at."""

    def as_read(self, row: Row) -> Row:
        """The row with the text that the tokenizer is given; `launcher data` shows its tokens."""
        return row

    def collate(self, split: Split, rows: np.ndarray, draw: Draw | None) -> Arrays:
        """The columns of these rows under the names of `inputs` and `wanted`.

        Ragged ones are padded, int64 [rows, longest]; arrays are taken as they are, in their own type.

        `attention_mask` is added where the lengths of tokens differ only: attention without a mask is the faster one.
        A task that masks or crops at random does it here, as a function of `draw` and the row's number; `draw` is None
        at evaluation. Tokens that the rows do not have are allowed where `feeds_any_token` says so.
        """
        padding = 0 if self.reader.tokenizer is None else int(self.tokenizer.pad_token_id or 0)
        batch = {}
        for name, fill in {**self.inputs, **self.wanted}.items():
            column = split.columns.get(name)
            if isinstance(column, Ragged):
                batch[name] = column.padded(rows, padding if fill is None else fill)
            elif column is not None:
                batch[name] = column[rows]
        if TOKENS in batch:
            lengths, width = split.ragged(TOKENS).lengths_of(rows), batch[TOKENS].shape[1]
            if lengths.min() < width:
                batch["attention_mask"] = (np.arange(width)[None, :] < lengths[:, None]).astype(np.int64)
        return batch

    def wanted_of(self, split: Split, rows: np.ndarray) -> Arrays:
        """What `collate` gives for the loss of these rows. Of a task that `couples`."""
        raise NotImplementedError

    def outputs_among(self, split: Split, rows: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Places of the outputs of `part`, some of these rows, among those of all, int64. Likewise."""
        raise NotImplementedError

    def targets(self, split: Split, rows: np.ndarray, draw: Draw | None) -> dict[str, int]:
        """Over how many things each loss of these rows is averaged: of a global batch, or (no draw) of an evaluation.

        By default what the split says; a task that draws them says how many it will draw. Every rank asks it.
        """
        return {name: int(counts[rows].sum()) for name, counts in split.targets.items()}

    @abstractmethod
    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """Under the names of the split's `targets`: each loss summed over its targets, a float32 scalar."""

    def divergence(self, one: Tensors, other: Tensors, wanted: Tensors) -> torch.Tensor:
        """How far two answers to the same rows lie apart, in nats, summed over all targets: a float32 scalar.

        The mean of the Kullback-Leibler divergences in both directions. R-Drop needs it; raises WorkerError in a task
        without it.
        """
        what = f"R-Drop compares two answers to a row, and {type(self).__name__} has no divergence() that does"
        raise WorkerError(Problem(what, do="leave training.r_drop out, or write divergence(self, one, other, wanted):"))

    @abstractmethod
    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, Column]:
        """What `score` needs of a batch: arrays of the same kind and width for every batch, a row each. Never all
        logits: it is held for a whole split.
        """

    def detail(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, Column]:
        """What `views` and `tell` need besides, likewise. Of long splits it is called for some rows only."""
        return {}

    def numbers_in_detail(self, split: Split) -> int:
        """How many numbers `detail` gives for a whole split: by default one for each target and label."""
        if type(self).detail is TaskWork.detail:
            return 0
        return sum(int(targets.sum()) for targets in split.targets.values()) * len(self.labels)

    @abstractmethod
    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """Numbers by name, and under `classes` one row of precision, recall, f1, support a class. On rank 0.

        NaN stands for a metric without a value. The mean loss is added to what it gives.
        """

    def views(self, split: Split, kept: Kept) -> Iterator[View]:
        """What is drawn of a split, from what was kept of it; made one by one, while the run goes on."""
        return iter(())

    def only_answer(self, split: Split, kept: Kept) -> str:
        """The one answer that everything in the split was given, where it should have been several; else ''."""
        return ""

    @abstractmethod
    def tell(self, text: Text, split: Split, rows: np.ndarray, kept: Kept) -> dict[str, Any]:
        """The answer to one text: `rows` of the split were made of it. `kept` has values and details of every row."""

    def likeliest(self, answer: dict[str, Any], top: int) -> dict[str, Any]:
        """An answer of `tell` with the `top` most probable alone of what it weighs, the first being the likeliest."""
        return likeliest(answer, top)

    def printed(self, text: str, answer: Mapping[str, Any], top: int | None) -> str:
        """An answer of `tell` as the command prints it, beside or below its text. `top` is how many probabilities of it
        are to be shown.
        """
        return f"{text}\n  {json_line(answer)}"

    def for_readers(self) -> dict[str, Any]:
        """What reading an export takes besides labels and tokenizer, as JSON values (`exported.contract`)."""
        return {}

    def as_seen(self, row: Row) -> dict[str, Any] | None:
        """How `launcher data` shows a row, where the task knows better than that its text is cut into tokens."""
        return None

    def windows_of(self, row: Row) -> Sequence[Any]:
        """The tokenizer's encodings of the windows that a row of the data is read in, where the task makes several rows
        of one; nothing where it is read as a whole, as far as the longest input goes.
        """
        return ()

    def shown(self, split: Split, row: int) -> str:
        """A row as the model sees it."""
        return " ".join(self.tokens_of(split, row))

    def sheet(self, split: Split, rows: np.ndarray) -> Sheet:
        """These rows as images. Only of a task of images."""
        raise NotImplementedError

    def tokens_of(self, split: Split, row: int) -> list[str]:
        """A row's tokens by name."""
        return list(self.tokenizer.convert_ids_to_tokens(split.ragged(TOKENS).row(row).tolist()))

    def labelled_tokens(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Indices into `split.token_ids`, and the class of the token there; the projector shows them."""
        return np.zeros(0, np.int64), np.zeros(0, np.int64)

    def sample(self, rows: int, length: int) -> tuple[Tensors, Tensors]:
        """Inputs and wanted of a padded batch of that shape, int64 zeros all: memory is planned with it."""
        import torch

        mask = torch.ones((rows, length), dtype=torch.int64)
        mask[:, 1:] = 0  # most micro-batches are padded, and a mask takes memory
        inputs = {TOKENS: torch.zeros((rows, length), dtype=torch.int64), "attention_mask": mask}
        shapes = {**dict.fromkeys(self.wanted, (rows,)), **self.shapes(rows, length)}
        return inputs, {name: torch.zeros(shape, dtype=torch.int64) for name, shape in shapes.items()}

    def shapes(self, rows: int, length: int) -> Mapping[str, tuple[int, ...]]:
        """The shapes of what is wanted in such a batch, where that is not [rows]."""
        return {}
