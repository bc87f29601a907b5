"""`Mixture`: the vectors of several sources side by side, each scaled to the deviation that all tables have.

One table holds them all, so that every method, strategy and figure has what it has of other sources. What is drawn at
random is drawn when the model is built, as everywhere, from the run's own seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.recipe.noun import field_names
from launcher.recipe.source import EmbeddingMatrix, Encoded, FastText, Mixture, RandomVectors, WordVectors
from launcher.training.sources.static.table import VECTOR_DEVIATION, Table
from launcher.training.sources.static.vocabulary import SPECIAL, Words

if TYPE_CHECKING:
    import torch

Source = FastText | WordVectors | EmbeddingMatrix | RandomVectors


def alike(mixture: Mixture) -> Iterator[Source]:
    """Its sources, which cut texts as it does."""
    shared = {name: getattr(mixture, name) for name in field_names(Encoded) if name != "beside"}
    for source in mixture.sources:
        yield replace(source, **shared)


def table(tables: Sequence[tuple[Source, Table]], words: Words) -> Table:
    """The tables of all sources as one; columns of random vectors are zeros that the model's building fills."""
    import numpy as np

    from launcher.training.sources.vectors.shaping import scaled

    rows = len(SPECIAL) + len(words.known())
    parts, counts, lines = [], dict[str, int](), list[str]()
    for source, one in tables:
        if one.vectors is None:
            assert isinstance(source, RandomVectors)
            parts.append(np.zeros((rows, source.dimension), dtype=np.float32))
        else:
            parts.append(scaled(one.vectors))
        counts |= {f"{name} of {source.kind}": count for name, count in one.counts.items()}
        lines += one.lines
    return Table(np.concatenate(parts, axis=1), counts, lines=tuple(lines), widths=tuple(p.shape[1] for p in parts))


def drawn(mixture: Mixture, vectors: torch.Tensor, widths: Sequence[int]) -> torch.Tensor:
    """The table with its random columns from torch's generator; the padding's row stays zero."""
    import torch

    start = 0
    for source, width in zip(mixture.sources, widths, strict=True):
        if isinstance(source, RandomVectors):
            vectors[1:, start : start + width] = torch.randn(len(vectors) - 1, width) * VECTOR_DEVIATION
        start += width
    return vectors
