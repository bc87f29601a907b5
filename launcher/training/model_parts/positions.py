"""How many tokens a model has positions for."""

from __future__ import annotations

from typing import Any

OFFSET_POSITIONS = frozenset(
    (
        *("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm"),
        *("mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
    )
)
"""Their position ids begin after the padding's id, which costs pad_token_id + 1 positions."""


def of_decoder(config: Any) -> int | None:
    """Of the decoder beside an encoder, by the model's configuration; None where there is no such bound."""
    if not config.is_encoder_decoder:
        return None
    inner = getattr(config, "decoder", None) or config
    rows = getattr(inner, "max_decoder_position_embeddings", None)  # LED's stacks differ
    rows = getattr(inner, "max_position_embeddings", None) if rows is None else rows
    if not isinstance(rows, int):
        return None
    padding = getattr(inner, "pad_token_id", None)
    return rows - (1 + (padding or 0) if inner.model_type in OFFSET_POSITIONS else 0)
