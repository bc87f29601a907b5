"""Tasks: what is learnt from a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from launcher.recipe.noun import noun
from launcher.recipe.user_file import Custom

Smoothing = Annotated[float, Field(ge=0, lt=1)]
AboveZero = Annotated[float, Field(gt=0)]
ClassWeights = Literal["balanced"] | dict[str, AboveZero]
Tokens = Literal["words", "whitespace", "characters", "jieba"]
"""How a raw text is cut where no subword tokenizer does it: into words and marks of punctuation (`do n't , it 's`), at
white space alone, into single characters, or into the Chinese words that jieba finds."""


Better = Literal["max", "min"]
"""Which way a metric is better."""
Metrics = Mapping[str, Better]
"""What a model can be selected by, the first being the default."""
Head = Literal["sequence", "tokens"]
"""What is put on the model: one answer for a whole text, or one for each token."""


@noun
class TextClassification:
    """One label for one text."""

    head: ClassVar[Head] = "sequence"
    several_labels: ClassVar[bool] = False
    metrics: ClassVar[Metrics] = {"accuracy": "max", "macro_f1": "max", "loss": "min"}
    kind: Literal["TextClassification"] = "TextClassification"
    labels: tuple[str, ...] | None = None
    """The label set; None takes it from the training split, sorted."""
    class_weights: ClassWeights | None = None
    """How much a text counts by its label: as much in all as every other label (`balanced`), or these weights (1 where
    none is given). They are scaled to a mean of 1 over the training split, and change the training loss only."""
    label_smoothing: Smoothing = 0.0
    """Part of each text's target that is shared out among all labels; in the training loss only."""


@noun
class MultiLabelClassification:
    """Any number of labels for one text, each decided by itself."""

    head: ClassVar[Head] = "sequence"
    several_labels: ClassVar[bool] = True
    metrics: ClassVar[Metrics] = {"micro_f1": "max", "macro_f1": "max", "subset_accuracy": "max", "loss": "min"}
    kind: Literal["MultiLabelClassification"] = "MultiLabelClassification"
    labels: tuple[str, ...] | None = None
    """The label set; None takes it from the training split, sorted."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability above which a text has a label."""
    class_weights: ClassWeights | None = None
    """How much a label's yes counts against its no: as much in all (`balanced`), or these weights (1 where none is
    given). They are scaled to a mean of 1 over each label's decisions, and change the training loss only."""
    label_smoothing: Smoothing = 0.0
    """Part of each decision's target that is shared out between yes and no; in the training loss only."""


@noun
class TokenClassification:
    """One BIO tag for each token of a sentence (named entities)."""

    head: ClassVar[Head] = "tokens"
    several_labels: ClassVar[bool] = False
    metrics: ClassVar[Metrics] = {"entity_f1": "max", "token_accuracy": "max", "token_f1": "max", "loss": "min"}
    kind: Literal["TokenClassification"] = "TokenClassification"
    labels: tuple[str, ...] | None = None
    """The tag set (`O`, `B-PER`, `I-PER`, …); None takes it from the training split."""
    tokens: Tokens | None = None
    """What a row of the data is made of, and how `predict` cuts a raw text; None takes it from the rows: characters
    where Chinese stands character by character, else words."""


PlainTask = Annotated[TextClassification | MultiLabelClassification | TokenClassification, Field(discriminator="kind")]


@noun
class CustomTask(Custom):
    """A task of your own over rows and a head that are those of a known one.

    `work(task, **options)` in `file` returns what `launcher.training.tasks.TaskWork` asks for; `task` is `like`.
    """

    kind: Literal["CustomTask"] = "CustomTask"
    like: PlainTask = Field(default_factory=TextClassification)
    """Whose rows are read, and whose head is put on the model."""
    metrics: Annotated[dict[str, Better], Field(min_length=1)] | None = None
    """What the model can be selected by, the first being the default; None takes the metrics of `like`."""


Task = Annotated[
    TextClassification | MultiLabelClassification | TokenClassification | CustomTask, Field(discriminator="kind")
]
METRICS: Mapping[str, Metrics] = {
    task.__name__: task.metrics for task in (TextClassification, MultiLabelClassification, TokenClassification)
}
"""The same by the name of their task, as recipes that are documents have it."""


def plain(task: Task) -> PlainTask:
    """The known task whose rows and head this one has: itself, unless it is a custom one."""
    return task.like if isinstance(task, CustomTask) else task


def metrics_of(task: Task) -> Mapping[str, Better]:
    """The metrics that this task can be selected by."""
    if isinstance(task, CustomTask) and task.metrics is not None:
        return {**task.metrics, "loss": "min"}
    return plain(task).metrics
