"""A new model of static vectors: from a source's noun and what was prepared of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from launcher.recipe.source import Encoded, FastTextClassifier, MeanPooling, Mixture, Static
from launcher.recipe.task import PlainTask, answer_of
from launcher.training.model_parts.dropout import set_dropout
from launcher.training.sources.heads import HEADS, PROBLEM_TYPES
from launcher.training.sources.static import subword_rows, vocabulary
from launcher.training.sources.static.fasttext_classifier import FastTextClassifierConfig, FastTextClassifierModel
from launcher.training.sources.static.part import Part
from launcher.training.sources.static.parts import part_of
from launcher.training.sources.static.static_model import StaticVectorsConfig, StaticVectorsModel, encoder_values
from launcher.training.sources.static.subword_rows import SubwordRows
from launcher.training.sources.static.subword_table import SubwordTable, of_shape
from launcher.training.sources.static.table import VECTORS


def build(
    embedding: Static,
    task: PlainTask,
    labels: Sequence[str],
    vectors: Tensor | tuple[int, int],
    folder: Path,
    dropout: float | None,
) -> StaticVectorsModel:
    """A new model. `vectors` is its table [rows, dimension], or the shape of a random one."""
    encoder, beside = (embedding.encoder, embedding.beside) if isinstance(embedding, Encoded) else (MeanPooling(), ())
    known = {part_of(noun).name: load_file(folder / f"{part_of(noun).name}.safetensors") for noun in beside}
    of_parts = _of_gate(embedding, folder)
    for noun in beside:
        of_parts |= part_of(noun).configured(noun, known[part_of(noun).name])
    rows, dimension = vectors.shape if isinstance(vectors, Tensor) else vectors
    made_of = SubwordRows.load(folder) if (folder / subword_rows.FILE).is_file() else None
    if made_of is not None:
        rows, of_parts["subwords"] = len(made_of.counts), of_shape(made_of)
    kind: type[StaticVectorsConfig] = StaticVectorsConfig
    of_head = HEADS[task.head].static_class()
    if isinstance(embedding, FastTextClassifier):
        kind, of_head = FastTextClassifierConfig, FastTextClassifierModel
        of_parts |= {"word_ngrams": embedding.word_ngrams, "buckets": embedding.buckets}
    config = kind(
        vocab_size=rows,
        dimension=of_parts.pop("dimension", dimension),
        encoder=encoder_values(encoder),
        pairs=vocabulary.of_pairs(folder),
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        **of_parts,
    )
    if dropout is not None:
        config.dropout = dropout
    if answer_of(task) in PROBLEM_TYPES:
        config.problem_type = PROBLEM_TYPES[answer_of(task)]
    model: StaticVectorsModel = of_head(config)
    if made_of is not None and isinstance(model.embeddings, SubwordTable):
        model.embeddings.take(made_of)
    if isinstance(model, FastTextClassifierModel):
        model.start()
        model.take_hashes(vocabulary.tokens_in(folder), first=0)
    elif isinstance(vectors, Tensor):
        with torch.no_grad():
            model.embeddings.weight.copy_(vectors)
    for name in model.beside:
        cast("Part", getattr(model, name)).fill(known.get(name, {}))
    if dropout is not None:
        set_dropout(model, dropout)
    return model


def _of_gate(embedding: Static, folder: Path) -> dict[str, Any]:
    """What the configuration says of a mixture's gate: of which columns it makes vectors of which length."""
    if not isinstance(embedding, Mixture) or embedding.combine != "gate":
        return {}
    return {"gate": load_file(folder / VECTORS)["widths"].tolist(), "dimension": embedding.dimension}
