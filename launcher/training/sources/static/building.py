"""A new model of static vectors: from a source's noun and what was prepared of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from launcher.recipe.source import Static
from launcher.recipe.task import PlainTask, answer_of
from launcher.training.model_parts.dropout import set_dropout
from launcher.training.sources.heads import HEADS, PROBLEM_TYPES
from launcher.training.sources.static import vocabulary
from launcher.training.sources.static.part import Part
from launcher.training.sources.static.parts import part_of
from launcher.training.sources.static.static_model import StaticVectorsConfig, StaticVectorsModel, encoder_values


def build(
    embedding: Static,
    task: PlainTask,
    labels: Sequence[str],
    vectors: Tensor | tuple[int, int],
    folder: Path,
    dropout: float | None,
) -> StaticVectorsModel:
    """A new model. `vectors` is its table [vocabulary, dimension], or the shape of a random one."""
    known = {part_of(noun).name: load_file(folder / f"{part_of(noun).name}.safetensors") for noun in embedding.beside}
    of_parts: dict[str, Any] = {}
    for noun in embedding.beside:
        of_parts |= part_of(noun).configured(noun, known[part_of(noun).name])
    rows, dimension = vectors.shape if isinstance(vectors, Tensor) else vectors
    config = StaticVectorsConfig(
        vocab_size=rows,
        dimension=dimension,
        encoder=encoder_values(embedding.encoder),
        pairs=vocabulary.of_pairs(folder),
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        **of_parts,
    )
    if dropout is not None:
        config.dropout = dropout
    if answer_of(task) in PROBLEM_TYPES:
        config.problem_type = PROBLEM_TYPES[answer_of(task)]
    model: StaticVectorsModel = HEADS[task.head].static_class()(config)
    if isinstance(vectors, Tensor):
        with torch.no_grad():
            model.embeddings.weight.copy_(vectors)
    for name in model.beside:
        cast("Part", getattr(model, name)).fill(known.get(name, {}))
    if dropout is not None:
        set_dropout(model, dropout)
    return model
