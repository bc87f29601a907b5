"""`CustomEmbedding`: vectors from a file of the user's own.

    vectors(tokens, dimension, **options)     an array [len(tokens), dimension], row by row the tokens' vectors

It is called once, while the data is prepared, for all tokens of the training split that get a row. The vectors go into
the model's table and are saved with it: a model that is read back does not need the file. The padding's row stays
zero, and the one for the unknown is the mean of the others.
"""

from __future__ import annotations

from collections.abc import Iterable

from launcher.recipe.source import CustomEmbedding
from launcher.training import user_code
from launcher.training.sources.static import vocabulary
from launcher.training.sources.static.table import Table


def table(embedding: CustomEmbedding, words: vocabulary.Words, sentences: Iterable[str | tuple[str, ...]]) -> Table:
    """The vectors of the training split's tokens. Raises RecipeError where the file's answer is no table of them."""
    import numpy as np

    words.count(sentences)
    known = words.known()
    answer = user_code.call(embedding, list(known), embedding.dimension)
    with user_code.at_the_border(embedding, "vectors returned no array of numbers"):
        rows = np.asarray(answer, dtype=np.float32)
    if rows.shape != (len(known), embedding.dimension):
        what = f"returned an array of shape {list(rows.shape)}, not {[len(known), embedding.dimension]}"
        raise user_code.wrong(embedding, what, "return one row a token, or change embedding.dimension")
    if not np.isfinite(rows).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise user_code.wrong(
            embedding, f"returned a row that is not finite, for {known[row]!r}", "give every token one"
        )
    special = np.zeros((len(vocabulary.SPECIAL), embedding.dimension), dtype=np.float32)
    if len(rows):
        special[vocabulary.SPECIAL.index(vocabulary.UNKNOWN)] = rows.mean(axis=0)
    return Table(np.concatenate([special, rows]), {})
