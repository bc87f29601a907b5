"""Tasks about places in a text: an answer that stands in it, two entities and how they are related (see `task`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from launcher.recipe.declared import EVERY_BODY, Body, ClassWeights, Head, Metrics, Smoothing
from launcher.recipe.fields import Field
from launcher.recipe.noun import noun
from launcher.recipe.sizes import Length


@noun
class QuestionAnswering:
    """The part of a text that answers a question about it, or that the text has no answer (extractive).

    A row is a question and its context, which the model reads in this order. A context that is longer than the model's
    input is read in windows that overlap.
    """

    head: ClassVar[Head] = "span"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("text", "text"),
        Field("text_pair", "text"),
        Field("label", "answers"),
    )
    bodies: ClassVar[frozenset[Body]] = EVERY_BODY
    metrics: ClassVar[Metrics] = {"f1": "max", "exact_match": "max", "loss": "min"}
    kind: Literal["QuestionAnswering"] = "QuestionAnswering"
    stride: Length | None = None
    """Tokens that two neighbouring windows of a long context share; None shares a quarter of the longest input."""
    longest_answer: Length = 50
    """Tokens that an answer has at most."""
    no_answer_threshold: float | None = None
    """By how much "no answer" must be likelier than the best answer, in logits, to be given. None chooses it on the
    validation split, where questions without an answer are among its rows; else every question gets one."""
    scored_as: Literal["squad", "cmrc"] | None = None
    """Whose exact match and F1 these are: SQuAD's, over words, or those of CMRC 2018, over Chinese characters. None
    takes CMRC's where the contexts of the validation split are Chinese."""


@noun
class RelationExtraction:
    """The relation between two entities that are marked in a text.

    Where a relation has two directions, its labels say so: `Cause-Effect(e1,e2)`, `Cause-Effect(e2,e1)`. Scores count
    both as one relation, and a wrong direction as wrong, as the scorer of SemEval-2010 task 8 does.
    """

    head: ClassVar[Head] = "entities"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("text", "text"),
        Field("entities", "entities"),
        Field("label", "label"),
    )
    bodies: ClassVar[frozenset[Body]] = EVERY_BODY
    metrics: ClassVar[Metrics] = {"macro_f1": "max", "micro_f1": "max", "accuracy": "max", "loss": "min"}
    kind: Literal["RelationExtraction"] = "RelationExtraction"
    labels: tuple[str, ...] | None = None
    """The label set; None takes it from the training split, sorted."""
    none: str | None = None
    """The label of entities without a relation, which no F1 counts. None recognises `Other`, `no_relation`, `NA`,
    `None`, `无` and the like; "" says that there is none."""
    class_weights: ClassWeights | None = None
    """How much a text counts by its label: as much in all as every other label (`balanced`), or these weights (1 where
    none is given). They are scaled to a mean of 1 over the training split, and change the training loss only."""
    label_smoothing: Smoothing = 0.0
    """Part of each text's target that is shared out among all labels; in the training loss only."""
