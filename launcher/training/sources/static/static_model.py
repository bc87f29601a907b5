"""Static vectors as a `PreTrainedModel`: a table, an encoder, a classifier.

    input_ids [rows, tokens] -> embeddings -> dropout -> encoder -> dropout -> classifier -> logits

Of a pair of texts, which `token_type_ids` tell apart, each goes through the encoder by itself, and the classifier takes
u, v, |u - v| and u * v of the two (Conneau et al. 2017, arXiv 1705.02364).

Saved by `save_pretrained` as config.json + model.safetensors; importing this module teaches transformers'
`AutoConfig` and the Auto class of each head to load it again.
Rows are padded on the right, and what is padded never changes a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import QuestionAnsweringModelOutput, SequenceClassifierOutput, TokenClassifierOutput

from launcher.recipe.source import BiLSTM, Encoder, Static
from launcher.recipe.task import PlainTask, answer_of
from launcher.training.model_parts.dropout import set_dropout
from launcher.training.sources.heads import HEADS, PROBLEM_TYPES
from launcher.training.sources.static import vocabulary
from launcher.training.sources.static.encoders import build_encoder, take
from launcher.training.sources.static.part import Part
from launcher.training.sources.static.parts import part_of, parts_of
from launcher.training.sources.static.question_marks import QuestionMarks

VECTOR_DEVIATION = 0.1
"""Standard deviation of random vectors: that of common pretrained ones, so their learning rates fit."""


class StaticVectorsConfig(PretrainedConfig):
    """Shape of a static model: `vocab_size` x `dimension` table; `encoder` holds the values of an encoder's noun."""

    model_type = "static_vectors"
    attribute_map = {"hidden_size": "dimension"}  # noqa: RUF012

    def __init__(
        self,
        vocab_size: int = 2,
        dimension: int = 100,
        encoder: dict[str, Any] | None = None,
        dropout: float = 0.3,
        ngrams: int = 1,
        known_ngrams: int = 0,
        ngram_buckets: int | None = None,
        lexicon: tuple[int, int] | None = None,
        pairs: bool = False,
        pad_token_id: int = 0,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.dimension = dimension
        self.encoder = encoder if encoder is not None else _values(BiLSTM())
        self.dropout = dropout
        self.ngrams = ngrams
        self.known_ngrams = known_ngrams
        self.ngram_buckets = ngram_buckets
        self.lexicon = lexicon
        """Words and columns."""
        self.pairs = pairs
        super().__init__(**{**kwargs, "pad_token_id": pad_token_id})


class StaticVectorsModel(PreTrainedModel):
    """What all tasks share. A subclass says whether a text is pooled, and whether a text is marked with what the one
    before it has: then both are one sequence for the encoder.
    """

    config_class = StaticVectorsConfig
    base_model_prefix = ""
    pools = True
    looks_back = False

    def __init__(self, config: StaticVectorsConfig) -> None:
        super().__init__(config)
        self.num_labels = labels = cast("int", config.num_labels)  # a configuration that is whole has labels
        self.embeddings = nn.Embedding(config.vocab_size, config.dimension, padding_idx=config.pad_token_id)
        parts = [part for part in parts_of(config) if self.pools or part.adds_to == "vectors"]
        parts += [QuestionMarks(config.dimension)] if self.looks_back else []
        self.beside = {part.name: part.adds_to for part in parts}
        for part in parts:
            if part.adds_to == "vectors":
                self.add_module(part.name, part)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = build_encoder(config.encoder, config.dimension, config.dropout, self.pools)
        self.classifier = nn.Linear((4 if config.pairs and self.pools else 1) * self.encoder.width, labels)
        for part in parts:
            if part.adds_to == "logits":
                self.add_module(part.name, part)
        self.post_init()  # type: ignore[no-untyped-call]  # transformers leaves it without types

    def get_input_embeddings(self) -> nn.Module:
        """The table of vectors."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Put another table in its place (or one that an adapter wraps)."""
        setattr(self, "embeddings", value)  # noqa: B010  (a wrapped table is no nn.Embedding for the type checker)

    def compute_logits(
        self, input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """[rows, tokens] to [rows, labels] (pooled) or [rows, tokens, labels]; no mask: the padding's id."""
        mask = input_ids.ne(self.config.pad_token_id) if attention_mask is None else attention_mask
        vectors = self.embeddings(input_ids)
        for part in self._parts("vectors"):
            vectors = vectors + part(input_ids, mask, token_type_ids)
        vectors = self.dropout(vectors)
        apart = self.config.pairs and self.pools
        states = self._of_both(vectors, mask, token_type_ids) if apart else self.encoder(vectors, mask)
        logits: Tensor = self.classifier(self.dropout(states))
        for part in self._parts("logits"):
            logits = logits + part(input_ids, mask, token_type_ids)
        return logits

    def _parts(self, adds_to: str) -> list[nn.Module]:
        """By name, since a method may have wrapped them."""
        return [cast("nn.Module", getattr(self, name)) for name, place in self.beside.items() if place == adds_to]

    def _of_both(self, vectors: Tensor, mask: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """What the classifier takes of a pair, [rows, 4 x width]; the second text is empty where no types are given."""
        types = torch.zeros_like(mask) if token_type_ids is None else token_type_ids
        first, second = mask.long() * (types == 0), mask.long() * (types == 1)
        # an encoder expects a text's tokens in front
        places = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
        moved = (places + first.sum(1, keepdim=True)).clamp(max=mask.shape[1] - 1)
        one = self.encoder(vectors, first)
        other = self.encoder(take(vectors, moved), (places < second.sum(1, keepdim=True)).long())
        return torch.cat([one, other, (one - other).abs(), one * other], dim=-1)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Glorot for weights, orthogonal for recurrent ones, a forget gate that starts open."""
        if isinstance(module, nn.Linear | nn.Conv1d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.MultiheadAttention):
            nn.init.xavier_uniform_(module.in_proj_weight)
            if module.in_proj_bias is not None:
                nn.init.zeros_(module.in_proj_bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=VECTOR_DEVIATION)
            if not getattr(module.weight, "_is_hf_initialized", False):
                module.weight[module.padding_idx].zero_()
        elif isinstance(module, nn.LSTM):
            for name, parameter in module.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(parameter)
                elif name.startswith("weight_hh"):
                    _orthogonal(parameter)
                elif not getattr(parameter, "_is_hf_initialized", False):
                    parameter.zero_()
                    if name.startswith("bias_ih"):
                        parameter[module.hidden_size : 2 * module.hidden_size] = 1.0


class StaticVectorsForSequenceClassification(StaticVectorsModel):
    """One label for one text, or for a pair of them."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """`logits` [rows, labels]; `loss` (mean cross-entropy) where `labels` [rows] are given."""
        logits = self.compute_logits(input_ids, attention_mask, token_type_ids)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


class StaticVectorsForTokenClassification(StaticVectorsModel):
    """One label for each token."""

    pools = False

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> TokenClassifierOutput:
        """`logits` [rows, tokens, labels]; `loss` where `labels` [rows, tokens] are given (not of -100)."""
        logits = self.compute_logits(input_ids, attention_mask)
        loss = None if labels is None else nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return TokenClassifierOutput(loss=loss, logits=logits)


class StaticVectorsForQuestionAnswering(StaticVectorsModel):
    """For each token of a question and its context whether the answer starts there, and whether it ends there."""

    pools = False
    looks_back = True

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **_: Any,
    ) -> QuestionAnsweringModelOutput:
        """`start_logits` and `end_logits` [rows, tokens]; `loss` where the positions [rows] are given."""
        start, end = self.compute_logits(input_ids, attention_mask, token_type_ids).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            cross_entropy = nn.functional.cross_entropy
            loss = (cross_entropy(start, start_positions) + cross_entropy(end, end_positions)) / 2
        return QuestionAnsweringModelOutput(loss=loss, start_logits=start, end_logits=end)


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
        encoder=_values(embedding.encoder),
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


def _orthogonal(weight: nn.Parameter) -> None:
    """By one thread: the last bits of LAPACK's factors depend on how many there are, so on how many processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        nn.init.orthogonal_(weight)
    finally:
        torch.set_num_threads(threads)


def _values(encoder: Encoder) -> dict[str, Any]:
    values: dict[str, Any] = TypeAdapter(Encoder).dump_python(encoder, mode="json")
    return values


AutoConfig.register(StaticVectorsConfig.model_type, StaticVectorsConfig, exist_ok=True)
AutoModelForSequenceClassification.register(StaticVectorsConfig, StaticVectorsForSequenceClassification, exist_ok=True)
AutoModelForTokenClassification.register(StaticVectorsConfig, StaticVectorsForTokenClassification, exist_ok=True)
AutoModelForQuestionAnswering.register(StaticVectorsConfig, StaticVectorsForQuestionAnswering, exist_ok=True)
