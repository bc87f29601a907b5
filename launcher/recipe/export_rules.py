"""Which run's model which format of `launcher export` can hold, by its recipe alone: what a table of all is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

from launcher.errors import Problem
from launcher.recipe.declared import Head
from launcher.recipe.fields import Kind
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import Static
from launcher.recipe.task import Task, answer_of, is_custom, plain

Format = Literal["onnx", "safetensors", "fasttext", "vec"]
Torchao = Literal["int8", "fp8", "int4"]
"""Weights by torchao, of --format safetensors."""
FORMATS: tuple[Format, ...] = get_args(Format)
FOLDERS: frozenset[Format] = frozenset({"onnx", "safetensors"})
"""Those that are a folder, and are measured on the whole test split."""
READS: Mapping[tuple[Head, Kind], str] = {
    ("sequence", "label"): "label",
    ("sequence", "labels"): "labels",
    ("sequence", "number"): "number",
    ("sequence", "passage"): "score",
    ("tokens", "tags"): "tags",
    ("tag paths", "tags"): "paths",
    ("entities", "label"): "relation",
    ("mask", "label"): "prompt",
    ("next", "label"): "prompt",
    ("span", "answers"): "spans",
    ("embedding", "passage"): "vector",
    ("embedding", "number"): "vector",
    ("image", "label"): "image",
    ("masked tokens", "document"): "masks",
    ("pretraining", "document"): "masks",
    ("next tokens", "document"): "text",
    ("next tokens", "target"): "text",
    ("next tokens", "messages"): "reply",
    ("text to text", "target"): "text",
}
"""By head and answer, what kind of reader an ONNX export has (`launcher.exported.readers`)."""
WRITTEN = frozenset({"text", "reply"})
"""Those whose graph computes one token after the other."""
SAFE = "--format safetensors writes the whole model for other programs"


def reads_of(task: Task) -> str | None:
    """What kind of reader an export of this task has; None where there is none."""
    return None if is_custom(task) else READS.get((plain(task).head, answer_of(task)))


def refused(recipe: Recipe, kind: Format, int8: bool = False) -> Iterator[Problem]:
    """Why this format cannot hold the recipe's model. Of the files (`fasttext`, `vec`) the model itself says it."""
    if kind == "onnx":
        yield from _no_graph(recipe)
    elif int8:
        yield Problem(f"--int8 is for graphs, and {kind} holds none", do="leave --int8 out, or take --format onnx")
    if kind == "safetensors":
        yield from _no_plain_model(recipe)
    if kind in FOLDERS and recipe.peft.in_four_bits:
        what = f"under {recipe.peft.kind} the base is kept in 4 bits, and what was learnt fits that base only"
        yield Problem(what, do="train with LoRA to export")


def _no_graph(recipe: Recipe) -> Iterator[Problem]:
    if is_custom(recipe.task):
        yield Problem("a task of your own answers as its file says, which no reader of an export knows", do=SAFE)
    elif reads_of(recipe.task) in WRITTEN and not recipe.peft.merges:
        what = f"what {recipe.peft.kind} adds has no place in the graph of a model that writes step by step"
        yield Problem(what, do="train with LoRA to export")
    if getattr(recipe.embedding, "subword_rows", False):
        what = "a word that training never saw has a vector of its subwords, which a graph cannot make"
        yield Problem(what, do="--format fasttext holds the subwords; or train with FastText(subword_rows=False)")


def _no_plain_model(recipe: Recipe) -> Iterator[Problem]:
    if isinstance(recipe.embedding, Static):
        what = "static vectors are a model of ours, which no other program loads"
        yield Problem(what, do="take --format onnx; or fasttext, or vec, which hold the vectors")
    if not recipe.peft.merges:
        what = f"what {recipe.peft.kind} adds cannot be put into the model's own weights"
        yield Problem(what, do="take --format onnx, where the task has it; or copy the run's folder model/")
