"""Static vectors as a `PreTrainedModel`: a table, an encoder, a classifier.

    input_ids [rows, tokens] -> embeddings -> dropout -> encoder -> dropout -> classifier -> logits

Of a pair of texts, which `token_type_ids` tell apart, each goes through the encoder by itself, and the classifier takes
u, v, |u - v| and u * v of the two (Conneau et al. 2017, arXiv 1705.02364).

Saved by `save_pretrained` as config.json + model.safetensors; importing this module teaches transformers'
`AutoConfig` and the Auto class of each head to load it again.
Rows are padded on the right, and what is padded never changes a result.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from pydantic import TypeAdapter
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

from launcher.recipe.source import BiLSTM, Encoder
from launcher.training.sources.static.encoders import build_encoder, take
from launcher.training.sources.static.part import Part
from launcher.training.sources.static.parts import parts_of
from launcher.training.sources.static.question_marks import QuestionMarks
from launcher.training.sources.static.source_gate import SourceGate
from launcher.training.sources.static.subword_table import SubwordTable, of_shape
from launcher.training.sources.static.table import VECTOR_DEVIATION


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
        subwords: dict[str, int] | None = None,
        gate: list[int] | None = None,
        pad_token_id: int = 0,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.dimension = dimension
        self.encoder = encoder if encoder is not None else encoder_values(BiLSTM())
        self.dropout = dropout
        self.ngrams = ngrams
        self.known_ngrams = known_ngrams
        self.ngram_buckets = ngram_buckets
        self.lexicon = lexicon
        """Words and columns."""
        self.pairs = pairs
        self.subwords = subwords
        """Shape of a table whose vectors are means of subwords (`subword_table.of_shape`)."""
        self.gate = gate
        """Columns of the table that each source of a mixture has, where a gate makes vectors of `dimension` of them."""
        super().__init__(**{**kwargs, "pad_token_id": pad_token_id})

    @property
    def table_width(self) -> int:
        """Numbers in a row of the table."""
        return sum(self.gate) if self.gate else self.dimension


class StaticVectorsModel(PreTrainedModel):
    """What all tasks share. A subclass says whether a text is pooled, and whether a text is marked with what the one
    before it has: then both are one sequence for the encoder.
    """

    config_class: type[StaticVectorsConfig] = StaticVectorsConfig
    base_model_prefix = ""
    pools = True
    looks_back = False
    states = 1
    """How many vectors of the encoder's width the classifier takes of one text, side by side."""

    def __init__(self, config: StaticVectorsConfig) -> None:
        super().__init__(config)
        self.num_labels = labels = cast("int", config.num_labels)  # a configuration that is whole has labels
        self.embeddings: nn.Embedding | SubwordTable = table_of(config)
        self.gate = SourceGate(config.gate, config.dimension) if config.gate else None
        parts = [part for part in parts_of(config) if self.pools or part.adds_to == "vectors"]
        parts += [QuestionMarks(config.dimension)] if self.looks_back else []
        self.beside = {part.name: part.adds_to for part in parts}
        for part in parts:
            if part.adds_to == "vectors":
                self.add_module(part.name, part)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = build_encoder(config.encoder, config.dimension, config.dropout, self.pools)
        pairs = config.pairs and self.pools
        self.classifier = nn.Linear((4 if pairs else self.states) * self.encoder.width, labels)
        for part in parts:
            if part.adds_to == "logits":
                self.add_module(part.name, part)
        self.post_init()  # type: ignore[no-untyped-call]  # transformers leaves it without types

    @property
    def new_modules(self) -> list[str]:
        """What no source gives: all but the table."""
        return ["encoder", "classifier", *(["gate"] if self.gate is not None else []), *self.beside]

    def get_input_embeddings(self) -> nn.Module:
        """The table of vectors."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Put another table in its place (or one that an adapter wraps)."""
        setattr(self, "embeddings", value)  # noqa: B010  (a wrapped table is no nn.Embedding for the type checker)

    def learn(self, tokens: list[str]) -> None:
        """Know these tokens, which the tokenizer has learnt (`vocabulary.learn`), by their subwords."""
        table = next(module for module in self.modules() if isinstance(module, SubwordTable))
        known = table.known().with_new(tokens)
        table.take(known)
        self.config.vocab_size, self.config.subwords = len(known.counts), of_shape(known)
        for part in self._parts("logits"):
            cast("Part", part).learn(tokens)

    def compute_logits(
        self, input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """[rows, tokens] to [rows, labels] (pooled) or [rows, tokens, labels]; no mask: the padding's id."""
        mask = self.mask_of(input_ids, attention_mask)
        vectors = self.dropout(self.vectors_of(input_ids, mask, token_type_ids))
        apart = self.config.pairs and self.pools
        states = self._of_both(vectors, mask, token_type_ids) if apart else self.encoder(vectors, mask)
        logits: Tensor = self.classifier(self.dropout(states))
        for part in self._parts("logits"):
            logits = logits + part(input_ids, mask, token_type_ids)
        return logits

    def mask_of(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Which tokens are real."""
        return input_ids.ne(self.config.pad_token_id) if attention_mask is None else attention_mask

    def vectors_of(self, input_ids: Tensor, mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """[rows, tokens, dimension]: of the table, and of what stands beside it."""
        vectors = self.looked_up(input_ids)
        for part in self._parts("vectors"):
            vectors = vectors + part(input_ids, mask, token_type_ids)
        return vectors

    def looked_up(self, input_ids: Tensor) -> Tensor:
        """The vectors [..., dimension] of tokens by themselves: of the table, behind the gate where there is one."""
        vectors: Tensor = self.embeddings(input_ids)
        return vectors if self.gate is None else self.gate(vectors)

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
            if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
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


def table_of(config: StaticVectorsConfig) -> nn.Embedding | SubwordTable:
    """The empty table that a configuration tells of."""
    if config.subwords is not None:
        return SubwordTable(dimension=config.dimension, **config.subwords)
    return nn.Embedding(config.vocab_size, config.table_width, padding_idx=config.pad_token_id)


def _orthogonal(weight: nn.Parameter) -> None:
    """By one thread: the last bits of LAPACK's factors depend on how many there are, so on how many processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        nn.init.orthogonal_(weight)
    finally:
        torch.set_num_threads(threads)


def encoder_values(encoder: Encoder) -> dict[str, Any]:
    """An encoder's noun as JSON values."""
    values: dict[str, Any] = TypeAdapter(Encoder).dump_python(encoder, mode="json")
    return values


AutoConfig.register(StaticVectorsConfig.model_type, StaticVectorsConfig, exist_ok=True)
AutoModelForSequenceClassification.register(StaticVectorsConfig, StaticVectorsForSequenceClassification, exist_ok=True)
AutoModelForTokenClassification.register(StaticVectorsConfig, StaticVectorsForTokenClassification, exist_ok=True)
AutoModelForQuestionAnswering.register(StaticVectorsConfig, StaticVectorsForQuestionAnswering, exist_ok=True)
