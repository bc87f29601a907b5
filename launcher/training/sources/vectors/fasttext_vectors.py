"""fastText vectors: a given `.bin` or `.ftz`, or a model trained on the training split by the official library.

A word's vector is the official definition, the mean of the rows of its subwords (Bojanowski et al. 2017),
also for words that were never seen; they are looked up where the file lies, without the library.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import DataError, Problem, RecipeError
from launcher.host.this_user import cache_folder as cache_folder
from launcher.recipe.source import FastText
from launcher.runs.seals import Damaged, damage, digests, read_sealed, write_sealed
from launcher.training.data.shared_cache import place_for
from launcher.training.fasttext.model_file import FastTextFile
from launcher.training.sources.reference import source_file
from launcher.training.sources.static import vocabulary
from launcher.training.sources.static.table import Table
from launcher.training.sources.vectors import subword_vectors

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

_END_OF_LINE = "</s>"
_NO_LABEL = "\n"  # no token begins with it, so fastText takes none for a label


def table(embedding: FastText, words: vocabulary.Words, sentences: Iterable[str | tuple[str, ...]]) -> Table:
    """The vectors of the training split's tokens, from a given model or from one that is trained on the split.

    Only they get a row, so that a test score is what `predict` gives on new texts.
    """
    if embedding.model is None:
        _refuse_too_large(embedding)
        model = FastTextFile.open(train_vectors(embedding, words.cut(sentences)))
    else:
        model = FastTextFile.open(source_file(embedding.model))
        words.count(sentences)
    if embedding.subword_rows:
        return subword_vectors.table(model, words)
    return Table(vectors_of(model, words.known()), {})


def _refuse_too_large(embedding: FastText) -> None:
    """Raise RecipeError where the library would need more memory than there is: it ends the process then."""
    here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    needed = 4 * embedding.dimension * (embedding.buckets if embedding.longest_subword else 1)
    if needed > here:
        what = f"{embedding.buckets:,} buckets of {embedding.dimension:,} numbers take {needed / 1e9:,.1f} GB"
        do = "make embedding.buckets or embedding.dimension smaller"
        raise RecipeError(Problem(f"{what}, and this machine has {here / 1e9:,.1f} GB", do=do))


def held(embedding: FastText, tokens: Iterable[str]) -> set[str]:
    """Those of the tokens that the given model was trained on: of others it knows only the subwords."""
    assert embedding.model is not None
    asked = list(tokens)
    own = FastTextFile.open(source_file(embedding.model)).rows.known(asked)
    return {token for token, row in zip(asked, own, strict=True) if row >= 0}


def train_vectors(embedding: FastText, lines: Iterable[Sequence[str]], cache: Path | None = None) -> Path:
    """Train on `lines` (the tokens of one text each) and return the `.bin`, cached by content below `cache`.

    One thread, so the same text and settings give the same bytes. Raises DataError where no token is frequent
    enough, RecipeError where training diverges.
    """
    folder = (cache or cache_folder()) / "fasttext"
    folder.mkdir(parents=True, exist_ok=True)
    settings = _settings(embedding)
    with tempfile.TemporaryDirectory(dir=folder, prefix="training-") as scratch:
        text = Path(scratch) / "text"
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        with text.open("wb") as file:
            for line in lines:
                row = (" ".join(token for token in line if token != _END_OF_LINE) + "\n").encode()
                digest.update(row)
                file.write(row)
        made = place_for(folder / f"{digest.hexdigest()}.bin")
        if _is_whole(made):
            return made
        model = _train(text, {name: value for name, value in settings.items() if name != "version"})
        unfinished = Path(scratch) / "model.bin"
        model.save_model(str(unfinished))
        FastTextFile.open(unfinished)
        unfinished.replace(made)
        write_sealed(made.with_suffix(".json"), {"files": digests(folder, [made.name])})
    return made


def vectors_of(model: FastTextFile, words: Sequence[str]) -> Vectors:
    """The initial table [2 + words, dimension]: padding (zeros), the unknown (the mean of all), the words."""
    import numpy as np

    vectors = np.zeros((2 + len(words), model.settings.dimension), dtype=np.float32)
    if words:
        vectors[2:] = model.vectors(words)
        vectors[1] = vectors[2:].mean(0, dtype=np.float64)
    return vectors


def _settings(embedding: FastText) -> dict[str, Any]:
    return {
        "model": embedding.algorithm,
        "dim": embedding.dimension,
        "epoch": embedding.epochs,
        "lr": embedding.learning_rate,
        "ws": embedding.window,
        "minn": embedding.shortest_subword,
        "maxn": embedding.longest_subword,
        "bucket": embedding.buckets,
        "minCount": embedding.minimum_count,
        "version": importlib.metadata.version("fasttext-community"),
    }


def _train(text: Path, settings: dict[str, Any]) -> Any:
    import fasttext

    try:
        return fasttext.train_unsupervised(str(text), **settings, thread=1, verbose=0, label=_NO_LABEL)
    except ValueError as error:
        what = f"fastText cannot train on the training split: {error}"
        do = "lower embedding.minimum_count, or give embedding.model"
        raise DataError(Problem(what, do=do)) from None
    except MemoryError:
        what = f"fastText's training takes more memory than there is, with {settings['bucket']:,} buckets"
        raise RecipeError(Problem(what, do="make embedding.buckets or embedding.dimension smaller")) from None
    except RuntimeError as error:
        what = f"fastText's training diverged: {error}"
        raise RecipeError(Problem(what, do="lower embedding.learning_rate")) from None


def _is_whole(path: Path) -> bool:
    try:
        return not damage(path.parent, read_sealed(path.with_suffix(".json"))["files"])
    except (Damaged, KeyError):
        return False
