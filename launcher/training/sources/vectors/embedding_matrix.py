"""`EmbeddingMatrix`: a row for every token of the training split, out of a pretrained model.

What the model says of the tokens is cached by content: by the model's files, how it is asked, the tokens, and the texts
where these count. How vectors are centred, reduced and weighted differs from recipe to recipe, and takes a second.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import DataError, Problem
from launcher.host.this_user import cache_folder
from launcher.recipe.source import EmbeddingMatrix
from launcher.training.data.shared_cache import kept_file
from launcher.training.sources import bases
from launcher.training.sources.static import vocabulary
from launcher.training.sources.static.table import Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from launcher.training.sources.vectors.word_states import Placed, States

FORMAT = 1
"""Raised when the same question to a model gets another answer."""
USUAL_DIMENSION = 256
SHOWN = 4
"""Examples of the tokens of each kind."""
LONGEST_SHOWN = 24


@dataclass(frozen=True)
class Matrix:
    """`vectors` float32 [words, dimension], and what is told of them: counts by name, and sentences."""

    vectors: npt.NDArray[np.float32]
    counts: Mapping[str, int]
    lines: tuple[str, ...]


def table(embedding: EmbeddingMatrix, words: vocabulary.Words, sentences: Iterable[str | tuple[str, ...]]) -> Table:
    """The vectors of the training split's tokens. Raises DataError where the model cannot give any."""
    import numpy as np

    texts = list(sentences) if embedding.compose == "context" else sentences
    words.count(texts)
    known = words.known()
    placed = list(_placed(embedding, words, texts, known)) if isinstance(texts, list) else []
    matrix = matrix_of(embedding, known, words.counts, placed)
    special = np.zeros((len(vocabulary.SPECIAL), matrix.vectors.shape[1]), dtype=np.float32)
    if known:
        special[vocabulary.SPECIAL.index(vocabulary.UNKNOWN)] = matrix.vectors.mean(axis=0, dtype=np.float64)
    return Table(np.concatenate([special, matrix.vectors]), dict(matrix.counts), lines=matrix.lines)


def matrix_of(
    embedding: EmbeddingMatrix, known: Sequence[str], counts: Mapping[str, int], texts: Sequence[Placed] = ()
) -> Matrix:
    """A row for each of these words, weighted by their `counts`; `texts` are those in which they are looked at."""
    import numpy as np

    from launcher.training.sources.vectors import shaping
    from launcher.training.sources.vectors.word_states import MISSING

    states = _states(embedding, known, texts)
    width = states.vectors.shape[1]
    dimension = min(USUAL_DIMENSION, width) if embedding.dimension is None else embedding.dimension
    there = states.kinds != MISSING
    if known and not there.any():
        what = f"{embedding.model} knows none of the {len(known):,} tokens, for example {examples(known)}"
        raise DataError(Problem(what, "embedding.model", "take a model of their language, or cut texts otherwise"))
    if dimension > width > 0:
        what = f"the vectors of {embedding.model} have {width:,} numbers, and {dimension:,} were asked for"
        raise DataError(Problem(what, "embedding.dimension", f"write at most {width:,}"))
    rows = np.zeros((len(known), dimension), dtype=np.float32)
    if known:
        found = shaping.reduced(states.vectors[there], dimension, embedding.centre)
        found = shaping.of_one_length(found) if embedding.normalise else found
        weights = shaping.weights(
            np.array([counts.get(word, 0) for word in known], dtype=np.float64), embedding.weighting
        )
        rows[there] = shaping.scaled((found * weights[there, None]).astype(np.float32))
        rows[~there] = shaping.drawn_like(rows[there], int((~there).sum()))
    return Matrix(rows, *_told(embedding, known, states))


def _states(embedding: EmbeddingMatrix, known: Sequence[str], texts: Sequence[Placed]) -> States:
    """What the model says of them, from the cache where it has been asked before."""
    from safetensors.numpy import load_file, save_file

    from launcher.training.sources.vectors.word_model import open_model
    from launcher.training.sources.vectors.word_states import States, states_of

    inputs = embedding.read_from == "inputs"

    def ask(path: Path) -> None:
        model = open_model(embedding.model, with_states=not inputs)
        states = states_of(model, known, embedding.compose, inputs, texts)
        values: dict[str, np.ndarray] = {"vectors": states.vectors, "kinds": states.kinds}
        save_file(values, path, {"in_context": str(states.in_context)})

    asked = [FORMAT, bases.of_name(embedding.model), embedding.read_from, embedding.compose, list(known), list(texts)]
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    path = kept_file(cache_folder() / "matrices" / f"{digest}.safetensors", ask)
    values = load_file(path)
    return States(values["vectors"], values["kinds"], _in_context(path))


def _in_context(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return int(file.metadata()["in_context"])


def _placed(
    embedding: EmbeddingMatrix, words: vocabulary.Words, texts: list[str | tuple[str, ...]], known: Sequence[str]
) -> Iterable[Placed]:
    """Texts evenly chosen, and where the known tokens stand in them."""
    numbers = {word: number for number, word in enumerate(known)}
    step = max(1, -(-len(texts) // embedding.contexts))
    for text, tokens in words.placed(texts[::step]):
        yield text, [(numbers[token], start, end) for token, start, end in tokens if token in numbers]


def _told(embedding: EmbeddingMatrix, known: Sequence[str], states: States) -> tuple[dict[str, int], tuple[str, ...]]:
    """How many tokens came to their vectors how, and a sentence with examples."""
    from launcher.training.sources.vectors.word_states import COMPOSED, EXACT, MISSING

    of_kind = {kind: [known[i] for i in (states.kinds == kind).nonzero()[0]] for kind in (EXACT, COMPOSED, MISSING)}
    counts = {
        "tokens": len(known),
        "tokens_that_are_one_piece": len(of_kind[EXACT]),
        "tokens_composed_of_pieces": len(of_kind[COMPOSED]),
        "tokens_without_a_vector": len(of_kind[MISSING]),
    }
    if embedding.compose == "context":
        counts["tokens_seen_in_texts"] = states.in_context
    named = {"one piece": EXACT, "composed": COMPOSED, "not in it, so drawn at random": MISSING}
    shown = [f"{name}: {examples(of_kind[kind])}" for name, kind in named.items() if of_kind[kind]]
    return counts, (f"matrix of {embedding.model}: {'; '.join(shown)}",) if shown else ()


def examples(words: Sequence[str]) -> str:
    """The first of them, for a line."""
    some = [word if len(word) <= LONGEST_SHOWN else f"{word[:LONGEST_SHOWN]}…" for word in words[:SHOWN]]
    return ", ".join(some) + (", …" if len(words) > SHOWN else "")
