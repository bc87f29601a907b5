"""Words of the new data that the earlier run's table has no row for: they get the next numbers, behind those it has.

Of tables with a row for each word alone. Subwords make vectors for new words as they are (`sources.learn`, when the
model is asked), and a table beside which other parts know each word by its number is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from launcher.ancestor import Ancestor
from launcher.json_files import read_json, write_json
from launcher.recipe.beside import Lexicon
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import FastTextClassifier, Mixture, Static
from launcher.recipe.task import plain
from launcher.training.sources.static import vocabulary
from launcher.training.sources.static.table import VECTORS


def grows(recipe: Recipe, old: Ancestor) -> bool:
    """Whether new words get rows of their own."""
    source = recipe.embedding
    if not isinstance(source, Static) or isinstance(source, FastTextClassifier | Mixture) or not old.whole:
        return False
    of_subwords = bool(getattr(source, "subword_rows", False))
    return not of_subwords and not any(isinstance(noun, Lexicon) for noun in source.beside)


def grow(recipe: Recipe, sentences: Iterable[Any], folder: Path) -> None:
    """Give the tokenizer in `folder` the words of these texts, and save the vectors that the source has for them."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    from launcher.training.sources import static_source

    source: Any = recipe.embedding
    with TemporaryDirectory(prefix="launcher-words-") as name:
        made = Path(name)
        static_source.save(source, plain(recipe.task), sentences, made)
        tokens = vocabulary.tokens_in(made)
        vectors = load_file(made / VECTORS)["vectors"] if (made / VECTORS).is_file() else None
    path = folder / vocabulary.FOLDER / "tokenizer.json"
    known, about = vocabulary.tokens_in(folder), read_json(path)
    has = frozenset(known)
    new = [(place, token) for place, token in enumerate(tokens) if token not in has]
    about["model"]["vocab"] |= {token: len(known) + number for number, (_, token) in enumerate(new)}
    write_json(path, about)
    if vectors is not None and new:
        save_file({"vectors": np.ascontiguousarray(vectors[[place for place, _ in new]])}, folder / VECTORS)
    told = f"{len(new):,} words of the new data get rows of their own behind the {len(known):,} that the run had"
    write_json(folder / vocabulary.TOLD, {vocabulary.LINES: [told]})


def rows_for(folder: Path) -> int:
    """Rows of the table that the prepared tokenizer needs."""
    return vocabulary.vocabulary_size(folder)


def vectors_for(folder: Path) -> Any:
    """The vectors of the new words, float32 [new words, dimension]; None where they are drawn."""
    from safetensors.torch import load_file

    path = folder / VECTORS
    return load_file(path)["vectors"] if path.is_file() else None
