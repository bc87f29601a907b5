"""`WordVectors`: published vectors, of which the model gets those of the training split's tokens.

A token that the file lacks takes the vector of its lower-case form (`try_lowercase`), else a random one: drawn from a
normal distribution with the mean and the deviation of the rows in the file, dimension by dimension (Kim 2014), from
a generator of its own seed, so that the table is a function of file and training split. `launcher data` shows how many
there are of each kind. The padding's row stays zero, and the one for the unknown is the mean of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from launcher.errors import DataError, Problem
from launcher.recipe.source import WordVectors
from launcher.training.sources.reference import source_file
from launcher.training.sources.static import vocabulary
from launcher.training.sources.static.table import Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from launcher.training.sources.vectors.vector_file import FileVectors

    Vectors = npt.NDArray[np.float32]


def table(embedding: WordVectors, words: vocabulary.Words, sentences: Iterable[str | tuple[str, ...]]) -> Table:
    """The vectors of the training split's tokens.

    Raises RecipeError for a missing file, DataError for a damaged one and where it has none of the tokens.
    """
    from launcher.training.sources.vectors.vector_file import read_vectors

    path = source_file(embedding.file)
    words.count(sentences)
    known = words.known()
    forms = {form for token in known for form in _forms(token, embedding.try_lowercase)}
    from_file = read_vectors(path, forms)
    vectors, counts = _vectors(known, from_file, embedding.try_lowercase)
    if known and counts["tokens_without_a_vector"] == len(known):
        what = f"none of the {len(known):,} tokens of the training split has a vector in it"
        do = f"look at how texts are cut: {words.tokens}, for example {', '.join(map(repr, known[:3]))}"
        raise DataError(Problem(what, str(path), do))
    return Table(vectors, counts)


def held(embedding: WordVectors, tokens: Iterable[str]) -> set[str]:
    """Those of the tokens for which the file has a vector. Raises as `table`."""
    from launcher.training.sources.vectors.vector_file import read_vectors

    forms = {token: _forms(token, embedding.try_lowercase) for token in tokens}
    from_file = read_vectors(source_file(embedding.file), {form for several in forms.values() for form in several})
    return {token for token, several in forms.items() if any(form in from_file.vectors for form in several)}


def _forms(token: str, try_lowercase: bool) -> list[bytes]:
    """What the token may be called in the file, in this order."""
    return [form.encode() for form in dict.fromkeys([token, token.lower()] if try_lowercase else [token])]


def _vectors(known: Sequence[str], from_file: FileVectors, try_lowercase: bool) -> tuple[Vectors, dict[str, int]]:
    """The initial table [2 + tokens, dimension], and how it came about."""
    import numpy as np

    first = len(vocabulary.SPECIAL)
    table = np.zeros((first + len(known), from_file.dimension), dtype=np.float32)
    held = [next((form for form in _forms(token, try_lowercase) if form in from_file.vectors), None) for token in known]
    there = np.array([form is not None for form in held], dtype=bool)
    for row, form in enumerate(held, start=first):
        if form is not None:
            table[row] = from_file.vectors[form]
    rows = table[first:]
    if there.any():
        mean, deviation = rows[there].mean(0, dtype=np.float64), rows[there].std(0, dtype=np.float64)
        rows[~there] = np.random.default_rng(0).normal(mean, deviation, ((~there).sum(), from_file.dimension))
        table[vocabulary.SPECIAL.index(vocabulary.UNKNOWN)] = rows.mean(0, dtype=np.float64)
    lowered = sum(form is not None and form != token.encode() for form, token in zip(held, known, strict=True))
    return table, {
        "tokens": len(known),
        "tokens_without_a_vector": int((~there).sum()),
        "tokens_by_their_lower_case": lowered,
        "rows_of_the_vector_file": from_file.rows,
        "words_repeated_in_the_vector_file": len(from_file.repeated),
    }
