"""Tasks: what is learnt from a row.

A task declares what it is, and other code reads that instead of checking its class:

    head        what is put on the model
    fields      what a row of its data has; the last one is the answer
    bodies      what it can be put on
    metrics     what its model can be selected by, the first being the default

A task of the user's own is looked at through `plain`, as the functions below do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

import pydantic

from launcher.recipe.declared import EVERY_BODY, Better, Body, ClassWeights, Head, Metrics, Smoothing, Tokens
from launcher.recipe.dialogue_task import Dialogue as Dialogue
from launcher.recipe.embedding_tasks import Reranker as Reranker
from launcher.recipe.embedding_tasks import TextEmbedding as TextEmbedding
from launcher.recipe.fields import Field, Kind
from launcher.recipe.generation import Generation
from launcher.recipe.image_task import ImageClassification as ImageClassification
from launcher.recipe.language_tasks import CausalLanguageModel as CausalLanguageModel
from launcher.recipe.language_tasks import MaskedLanguageModel as MaskedLanguageModel
from launcher.recipe.noun import noun
from launcher.recipe.span_tasks import QuestionAnswering as QuestionAnswering
from launcher.recipe.span_tasks import RelationExtraction as RelationExtraction
from launcher.recipe.template import names_in
from launcher.recipe.user_file import Custom
from launcher.recipe.writing_tasks import Summarisation as Summarisation
from launcher.recipe.writing_tasks import Translation as Translation

T = TypeVar("T")


@noun
class TextClassification:
    """One label for one text."""

    head: ClassVar[Head] = "sequence"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("text", "text"),
        Field("text_pair", "text", optional=True),
        Field("label", "label"),
    )
    bodies: ClassVar[frozenset[Body]] = EVERY_BODY
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
    fields: ClassVar[tuple[Field, ...]] = (
        Field("text", "text"),
        Field("text_pair", "text", optional=True),
        Field("label", "labels"),
    )
    bodies: ClassVar[frozenset[Body]] = EVERY_BODY
    metrics: ClassVar[Metrics] = {"micro_f1": "max", "macro_f1": "max", "subset_accuracy": "max", "loss": "min"}
    kind: Literal["MultiLabelClassification"] = "MultiLabelClassification"
    labels: tuple[str, ...] | None = None
    """The label set; None takes it from the training split, sorted."""
    threshold: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.5
    """Probability above which a text has a label."""
    class_weights: ClassWeights | None = None
    """How much a label's yes counts against its no: as much in all (`balanced`), or these weights (1 where none is
    given). They are scaled to a mean of 1 over each label's decisions, and change the training loss only."""
    label_smoothing: Smoothing = 0.0
    """Part of each decision's target that is shared out between yes and no; in the training loss only."""


@noun
class TokenClassification:
    """One BIO tag for each token of a sentence (named entities)."""

    fields: ClassVar[tuple[Field, ...]] = (Field("text", "text"), Field("label", "tags"))
    bodies: ClassVar[frozenset[Body]] = EVERY_BODY
    metrics: ClassVar[Metrics] = {"entity_f1": "max", "token_accuracy": "max", "token_f1": "max", "loss": "min"}
    kind: Literal["TokenClassification"] = "TokenClassification"
    labels: tuple[str, ...] | None = None
    """The tag set (`O`, `B-PER`, `I-PER`, …); None takes it from the training split."""
    tokens: Tokens | None = None
    """What a row of the data is made of, and how `predict` cuts a raw text; None takes it from the rows: characters
    where Chinese stands character by character, else words."""
    crf: bool = False
    """Whether the tags of a sentence are one answer: transitions from tag to tag are learnt (a CRF, Lample et al. 2016,
    arXiv 1603.01360), and what is predicted is the likeliest path that BIO allows. Training takes longer."""

    @property
    def head(self) -> Head:
        """With transitions it is another one."""
        return "tag paths" if self.crf else "tokens"


@noun
class Regression:
    """One number for a text or a pair of texts: how alike two are, how many stars a review gives."""

    head: ClassVar[Head] = "sequence"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("text", "text"),
        Field("text_pair", "text", optional=True),
        Field("label", "number"),
    )
    bodies: ClassVar[frozenset[Body]] = EVERY_BODY
    metrics: ClassVar[Metrics] = {"spearman": "max", "pearson": "max", "mean_absolute_error": "min", "loss": "min"}
    kind: Literal["Regression"] = "Regression"


@noun
class Prompted:
    """One label for one text, which a language model tells by the word that it puts into a template.

    Its own head is asked, so that few labelled texts are enough, or none (PET, Schick and Schütze 2021, arXiv
    2001.07676; LM-BFF, Gao et al. 2021, arXiv 2012.15723). The loss is the cross entropy over the labels.
    """

    fields: ClassVar[tuple[Field, ...]] = TextClassification.fields
    bodies: ClassVar[frozenset[Body]] = frozenset({"encoder", "decoder"})
    metrics: ClassVar[Metrics] = TextClassification.metrics
    kind: Literal["Prompted"] = "Prompted"
    template: str
    """What the model reads, with `{text}` (and `{text_pair}`) in it. For a model that fills masks `{mask}` stands where
    the word is to be; one that continues a text says the word after the end. `{{` is a brace."""
    words: dict[str, str | tuple[str, ...]]
    """The word of each label, as it follows the template, or several whose log-probabilities are averaged. Each is one
    token: `{"bad": " terrible", "good": " great"}`, with the space where the language has one and the template ends
    without it."""
    calibrate_by: str | None = None
    """A text that says nothing, such as `"N/A"`: the log-probabilities of the labels for it are subtracted from those
    for each text (contextual calibration, Zhao et al. 2021, arXiv 2102.09690). Whether it helps, the template
    decides."""

    @property
    def head(self) -> Head:
        """The template says which."""
        return "mask" if "mask" in names_in(self.template) else "next"

    @property
    def labels(self) -> tuple[str, ...]:
        """Those that have words."""
        return tuple(self.words)


BY_KIND = pydantic.Field(discriminator="kind")
_Known = (
    TextClassification
    | MultiLabelClassification
    | TokenClassification
    | Regression
    | QuestionAnswering
    | Prompted
    | RelationExtraction
    | ImageClassification
    | CausalLanguageModel
    | Translation
    | Summarisation
    | Dialogue
    | MaskedLanguageModel
    | TextEmbedding
    | Reranker
)
PlainTask = Annotated[_Known, BY_KIND]


@noun
class CustomTask(Custom):
    """A task of your own over rows and a head that are those of a known one.

    `work(task, reader, **options)` in `file` returns a `launcher.extend.TaskWork`; `task` is `like`.
    """

    kind: Literal["CustomTask"] = "CustomTask"
    like: PlainTask = pydantic.Field(default_factory=TextClassification)
    """Whose rows are read, and whose head is put on the model."""
    metrics: Annotated[dict[str, Better], pydantic.Field(min_length=1)] | None = None
    """What the model can be selected by, the first being the default; None takes the metrics of `like`."""


Task = Annotated[_Known | CustomTask, BY_KIND]


def plain(task: Task) -> PlainTask:
    """The known task whose rows and head this one has: itself, unless it is a custom one."""
    return task.like if isinstance(task, CustomTask) else task


def is_custom(task: Task) -> bool:
    """Whether a file of the user's own does the work: what its columns and its loss mean, that file alone knows."""
    return isinstance(task, CustomTask)


def metrics_of(task: Task) -> Mapping[str, Better]:
    """The metrics that this task can be selected by."""
    if isinstance(task, CustomTask) and task.metrics is not None:
        return {**task.metrics, "loss": "min"}
    measured: Mapping[str, Better] = getattr(plain(task), "measured", plain(task).metrics)
    return measured


def stored_metrics(values: Mapping[str, Any]) -> Mapping[str, Better]:
    """Which way each metric of a run's task is better, from the settled values of its recipe.json."""
    kind, own = values.get("task"), values.get("task.metrics")
    if kind == CustomTask.__name__:
        if isinstance(own, dict):
            return {**own, "loss": "min"}
        kind = values.get("task.like")
    known: Iterator[type[PlainTask]] = iter(get_args(get_args(PlainTask)[0]))
    return next((task.metrics for task in known if task.__name__ == kind), {})


def answer_of(task: Task) -> Kind:
    """What a row's answer is."""
    return plain(task).fields[-1].kind


def lacking(task: Task, holds: frozenset[Kind]) -> Kind | None:
    """What a row must have and data that `holds` these kinds does not; its answer first. None where all is there."""
    needed = [field.kind for field in plain(task).fields if not field.optional]
    return next((kind for kind in (needed[-1], *needed) if kind not in holds), None)


def labels_of(task: Task) -> tuple[str, ...] | None:
    """The label set that the task names; None where it leaves it to the rows, or has numbers."""
    labels: tuple[str, ...] | None = getattr(plain(task), "labels", None)
    return labels


def stride_of(task: Task) -> int | None:
    """What windows of a task that reads its texts in such share, where it says so."""
    stride: int | None = getattr(plain(task), "stride", None)
    return stride


def generation_of(task: Task) -> Generation | None:
    """How its model writes texts; None where it writes none."""
    generation: Generation | None = getattr(plain(task), "generation", None)
    return generation


def template_of(task: Task) -> str | None:
    """What a text is put into; None where the model reads the text alone."""
    template: str | None = getattr(plain(task), "template", None)
    return template


def template_of_chats(task: Task) -> str | None:
    """The template that a conversation is put into, where the recipe names one."""
    template: str | None = getattr(plain(task), "chat_template", None)
    return template


def words_of(task: Task) -> dict[str, tuple[str, ...]]:
    """The words that stand for each label; none where the model has an output for each."""
    words: Mapping[str, str | tuple[str, ...]] = getattr(plain(task), "words", {})
    return {label: (given,) if isinstance(given, str) else given for label, given in words.items()}


def of_entities(task: Task) -> bool:
    """Whether its rows have two entities each."""
    return any(field.kind == "entities" for field in plain(task).fields)


def second_text(task: Task) -> Field | None:
    """The field that makes a pair of a row's text, if the task can do with pairs; some can do with nothing else."""
    return next((field for field in plain(task).fields[1:] if field.kind == "text"), None)


def tokens_of_rows(task: Task) -> Tokens | None:
    """How the rows of a task of tokens are cut; None where the task leaves it open, and of a task of whole texts."""
    tokens: Tokens | None = getattr(plain(task), "tokens", None)
    return tokens


def with_tokens_of_rows(task: T, tokens: Tokens | None) -> T:
    """The task with these tokens filled in, if it is one of tokens and leaves them open."""
    given: Any = task
    if answer_of(given) != "tags" or tokens_of_rows(given) is not None:
        return task
    known: Any = plain(given)
    known = replace(known, tokens=tokens)
    changed: T = replace(given, like=known) if is_custom(given) else known
    return changed
