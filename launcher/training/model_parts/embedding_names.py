"""What the forward pass of `sources.embedding_head` gives, by name; it imports no torch."""

from __future__ import annotations

EMBEDDINGS = "embeddings"
"""The output, float32 [texts, width]: a vector of length 1 for each."""
