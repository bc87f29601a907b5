"""What stands beside the table of a static source: each kind answers two modules' questions, and these are their cases.

    save(noun, tokenizer, train, folder) -> counts    in `prepare`, once: what it knows, into a file of `folder`
    a Part (see `part`)                                 in every rank: the module that knows it

`train` is the training split in token ids. No torch here; the other `match` over the kinds is in `parts`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from launcher.recipe.beside import Beside, Lexicon, NgramBag
from launcher.training.sources.static import lexicon_files, ngrams

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from launcher.training.batches.split import Split


def save(noun: Beside, tokenizer: PreTrainedTokenizerFast, train: Split, folder: Path) -> dict[str, int]:
    """Write what it has to know of the training split below `folder`; say what it has counted, for `launcher data`.

    Raises RecipeError for a missing file, DataError where it would know nothing.
    """
    match noun:
        case NgramBag():
            return ngrams.save(noun, tokenizer, train, folder)
        case Lexicon():
            return lexicon_files.save(noun, tokenizer, folder)
        case _:
            assert_never(noun)
