"""What a head is, for both kinds of model: the one table that knows which class carries it.

A head of our own, which runs inside the forward pass, is a row like the others: `pretrained` then names an
`AutoModelWith` (`own_heads`), which offers what transformers' Auto classes do. Nothing heavy is imported before a class
is asked for.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from launcher.errors import PlanError, Problem
from launcher.recipe.declared import SPAN_ENDS, Head
from launcher.recipe.fields import Kind
from launcher.recipe.task import Task, plain

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class HeadKind:
    """One kind of head."""

    pretrained: str
    """`module:Name` of what puts it on a pretrained model."""
    static: str | None
    """`module:Name` of the class of static vectors with it; None where they have none."""
    over: str
    """What it has an answer for, in messages."""
    such_as: str
    """Pretrained models that have one."""
    pipeline: str
    """What the hub calls its use."""
    rows: tuple[str, ...] = ()
    """What its outputs are where these are no labels of the data's: a checkpoint's head then fits as it is."""
    new: bool = True
    """Whether it is put on anew, with an output for each label; else it is the one that the model came with."""
    needed: bool = True
    """Of one that is not put on anew: whether a model without it is refused; else it is drawn."""
    reads: str = "launcher.training.sources.pooling:read_by_mask"
    """`module:name` of what fits the forward pass of a pretrained model with it: takes the model, returns it."""

    def auto_class(self) -> Any:
        """What a pretrained model with this head is built and loaded by."""
        return pkgutil.resolve_name(self.pretrained)

    def static_class(self) -> Any:
        """The class of static vectors, made from its configuration."""
        assert self.static is not None, "a rule refuses static vectors (launcher/recipe/recipe_rules.py)"
        return pkgutil.resolve_name(self.static)

    def fitted(self, model: Any) -> Any:
        """The same model, whose forward pass takes and gives what this head's tasks expect."""
        return pkgutil.resolve_name(self.reads)(model)

    @property
    def auto_name(self) -> str:
        """The class's own name, as a script imports it."""
        return self.pretrained.rpartition(":")[2]

    @property
    def imported_from(self) -> str:
        """Where a script imports it from."""
        return "launcher.extend" if self.is_own else "transformers"

    @property
    def is_own(self) -> bool:
        """Whether the head is ours: then transformers alone loads the body of a saved model, and not the head."""
        return self.new and not self.pretrained.startswith("transformers:")


STATIC = "launcher.training.sources.static.static_model"
WORD = "launcher.training.model_parts.word_place:read_at_word"
WORDS = "launcher.training.model_parts.word_places:read_at_words"
MASKED_WORD = HeadKind(
    pretrained="transformers:AutoModelForMaskedLM",
    static=None,
    over="masked words",
    such_as="BERT, RoBERTa, DeBERTa, ModernBERT, ELECTRA's generators and many more",
    pipeline="fill-mask",
    new=False,
    reads=WORD,
)
NEXT_WORD = HeadKind(
    pretrained="transformers:AutoModelForCausalLM",
    static=None,
    over="the next word",
    such_as="GPT-2, Llama, Qwen2 and many more",
    pipeline="text-generation",
    new=False,
    reads=WORD,
)
HEADS: Mapping[Head, HeadKind] = {
    "sequence": HeadKind(
        pretrained="transformers:AutoModelForSequenceClassification",
        static=f"{STATIC}:StaticVectorsForSequenceClassification",
        over="texts",
        such_as="BERT, RoBERTa, DeBERTa, ModernBERT, XLNet, BART, T5, GPT-2, Llama, Qwen2 and many more",
        pipeline="text-classification",
    ),
    "tokens": HeadKind(
        pretrained="transformers:AutoModelForTokenClassification",
        static=f"{STATIC}:StaticVectorsForTokenClassification",
        over="tokens",
        such_as="BERT, RoBERTa, DeBERTa, ModernBERT, XLNet, T5, GPT-2, Llama, Qwen2 and many more",
        pipeline="token-classification",
    ),
    "span": HeadKind(
        pretrained="transformers:AutoModelForQuestionAnswering",
        static=f"{STATIC}:StaticVectorsForQuestionAnswering",
        over="answers in a text",
        such_as="BERT, RoBERTa, DeBERTa, ModernBERT, XLNet, BART, T5, GPT-2, Llama, Qwen2 and many more",
        pipeline="question-answering",
        rows=SPAN_ENDS,
    ),
    "tag paths": HeadKind(
        pretrained="launcher.training.sources.crf_head:AutoModelForCRFTokenClassification",
        static="launcher.training.sources.crf_head:StaticVectorsForCRFTokenClassification",
        over="tokens",
        such_as="BERT, RoBERTa, DeBERTa, ModernBERT, XLNet, T5, GPT-2, Llama, Qwen2 and many more",
        pipeline="token-classification",
    ),
    "mask": MASKED_WORD,
    "next": NEXT_WORD,
    "entities": HeadKind(
        pretrained="launcher.training.sources.entity_head:AutoModelForRelationExtraction",
        static="launcher.training.sources.static.relations:StaticVectorsForRelationExtraction",
        over="entities",
        such_as="BERT, RoBERTa, DeBERTa, ModernBERT, XLNet, T5, GPT-2, Llama, Qwen2 and many more",
        pipeline="text-classification",
    ),
    "image": HeadKind(
        pretrained="transformers:AutoModelForImageClassification",
        static=None,
        over="images",
        such_as="ViT, DeiT, BEiT, Swin, ConvNeXT, ResNet, MobileNetV2, RegNet and many more",
        pipeline="image-classification",
    ),
    "next tokens": replace(NEXT_WORD, reads=WORDS),
    "masked tokens": replace(MASKED_WORD, needed=False, reads=WORDS),
    "pretraining": HeadKind(
        pretrained="launcher.training.sources.pretraining_head:AutoModelForPreTraining",
        static=None,
        over="masked words and whether two texts follow each other",
        such_as="BERT",
        pipeline="fill-mask",
        new=False,
        needed=False,
        reads=WORDS,
    ),
    "text to text": HeadKind(
        pretrained="transformers:AutoModelForSeq2SeqLM",
        static=None,
        over="a text for a text",
        such_as="T5, BART, Marian, mBART; two encoders are joined by embedding.decoder, and one that continues texts "
        "needs task.template",
        pipeline="text2text-generation",
        new=False,
        reads="launcher.training.model_parts.text_to_text:read_and_write",
    ),
    "embedding": HeadKind(
        pretrained="launcher.training.sources.embedding_head:AutoModelForTextEmbedding",
        static=None,
        over="vectors of texts",
        such_as="BERT, RoBERTa, DeBERTa, ModernBERT, XLNet, T5, GPT-2, Llama, Qwen2 and many more",
        pipeline="feature-extraction",
    ),
}
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
PROBLEM_TYPES: Mapping[Kind, ProblemType] = {
    "label": "single_label_classification",
    "labels": "multi_label_classification",
    "number": "regression",
}
"""What transformers calls the kind of an answer; it has no word for tags."""


def refuse_headless(config: PretrainedConfig, model: str, wanted: Head) -> None:
    """Raise PlanError where transformers has no such head on this kind of model."""
    kinds = [head.over for head in HEADS.values() if type(config) in head.auto_class()._model_mapping]
    offered = list(dict.fromkeys(kinds))
    head = HEADS[wanted]
    if head.over in offered:
        return
    what = f"{model} is of the kind {config.model_type!r}, for which there is no head for {head.over}"
    what += f", only one for {' and '.join(offered)}" if offered else ""
    raise PlanError(Problem(what, "embedding.model", f"take one that has: {head.such_as}"))


def same_head(one: Task, other: Task) -> bool:
    """Whether one head answers both tasks; a task of the user's own is one by its file."""
    mine, theirs = plain(one), plain(other)
    alike = (mine.head, mine.fields) == (theirs.head, theirs.fields)
    return alike and getattr(one, "file", None) == getattr(other, "file", None)
