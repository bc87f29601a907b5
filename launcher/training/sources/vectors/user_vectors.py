"""`CustomEmbedding`: vectors from a file of the user's own.

    vectors(tokens, dimension, **options)     an array [len(tokens), dimension], row by row the tokens' vectors

It is asked once, while the data is prepared, for all tokens of the training split that get a row. The vectors go into
the model's table and are saved with it: a model that is read back does not need the file. The padding's row stays
zero, and the one for the unknown is the mean of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.recipe.source import CustomEmbedding
from launcher.recipe.task import PlainTask
from launcher.training import user_code
from launcher.training.sources.static import vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FILE = "vectors.safetensors"


def build_tokenizer(
    embedding: CustomEmbedding, task: PlainTask, sentences: Iterable[str | tuple[str, ...]], folder: Path
) -> int:
    """Save tokenizer and vectors; return the longest input in tokens. Raises RecipeError where they are no table."""
    import numpy as np
    from safetensors.numpy import save_file

    words = vocabulary.Words(embedding, task)
    words.count(sentences)
    known = words.known()
    told = user_code.call(embedding, list(known), embedding.dimension)
    with user_code.at_the_border(embedding, "vectors returned no array of numbers"):
        rows = np.asarray(told, dtype=np.float32)
    if rows.shape != (len(known), embedding.dimension):
        what = f"returned an array of shape {list(rows.shape)}, not {[len(known), embedding.dimension]}"
        raise user_code.wrong(embedding, what, "return one row a token, or change embedding.dimension")
    if not np.isfinite(rows).all():
        place = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise user_code.wrong(
            embedding, f"returned a row that is not finite, for {known[place]!r}", "give every token one"
        )
    special = np.zeros((len(vocabulary.SPECIAL), embedding.dimension), dtype=np.float32)
    if len(rows):
        special[vocabulary.SPECIAL.index(vocabulary.UNKNOWN)] = rows.mean(axis=0)
    save_file({"vectors": np.concatenate([special, rows])}, folder / FILE)
    return words.save(known, folder)


def build_model(
    embedding: CustomEmbedding, task: PlainTask, labels: Sequence[str], folder: Path, dropout: float | None
) -> PreTrainedModel:
    """A static model whose table starts as folder/`vectors.safetensors`."""
    from safetensors.torch import load_file

    from launcher.training.sources.static import static_model

    return static_model.build(embedding, task, labels, load_file(folder / FILE)["vectors"], folder, dropout)
