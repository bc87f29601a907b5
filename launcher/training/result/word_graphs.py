"""Graphs of models that say words: logits at the places that are asked for, and what the task makes of them."""

from __future__ import annotations

from typing import Any

from launcher.training.batches.split import TOKENS
from launcher.training.model_parts.outputs import Tensors
from launcher.training.model_parts.word_names import HITS, LIKELIEST, LOSSES, MEANS, RIGHT, WHERE
from launcher.training.model_parts.word_places import measured_of
from launcher.training.result.onnx_graph import Signature
from launcher.training.tasks.base import TaskWork
from launcher.training.tasks.texts import TYPES

LOGITS = "logits"
AT_PLACES = {0: "rows", 1: "places"}
OF_WORDS = frozenset({LOSSES, MEANS, HITS, LIKELIEST})


def signature(work: TaskWork, types: bool) -> Signature:
    """Of a model that fills in masks: where the words are asked for is an input, `answer_at` (see `word_names`)."""
    inputs = (TOKENS, "attention_mask", *([TYPES] if types else []), WHERE)
    others = [name for name in work.outputs if name not in OF_WORDS]
    own = {WHERE: AT_PLACES, LOGITS: AT_PLACES, **{name: {0: "rows"} for name in others}}
    return Signature(inputs, (LOGITS, *others), {0: "rows", 1: "tokens"}, own)


def with_masks(text: str, mask: str) -> str:
    """The text with every third word hidden."""
    words = text.split() or [text]
    words[::3] = [mask] * len(words[::3])
    return " ".join(words)


def measured(model: Any, signature: Signature, inputs: Tensors) -> Tensors:
    """What the task takes of the model: losses of the words, of the graph's logits."""
    given = model(**{name: value for name, value in inputs.items() if name in signature.inputs})
    others = {name: getattr(given, name) for name in signature.outputs if name != LOGITS}
    return {**measured_of(given.logits, inputs[RIGHT]), **others}
