"""What every static source answers: the vectors of the tokens that it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from launcher.training.sources.static.subword_rows import SubwordRows


VECTOR_DEVIATION = 0.1
"""Standard deviation of random vectors: that of common pretrained ones, so their learning rates fit."""


VECTORS = "vectors.safetensors"
"""The file of them in the folder of the prepared data."""


class Table(NamedTuple):
    """What a source says of the tokens."""

    vectors: npt.NDArray[np.float32] | None
    """[2 + tokens, dimension]: the padding's row (zeros), the one for the unknown, the tokens'. None: drawn at random
    from torch's generator when the model is built."""
    counts: dict[str, int]
    """What it has counted on the way, by name, for `launcher data`."""
    tokens: list[str] | None = None
    """The tokenizer's, in the order of their numbers; None: those of the training split that are seen often enough."""
    rows: SubwordRows | None = None
    """Which rows make the vector of each token; None: each has one."""
    lines: tuple[str, ...] = ()
    """What else is told of them there, and in a run's first lines."""
    widths: tuple[int, ...] = ()
    """Of a mixture: how many columns each of its sources has."""
