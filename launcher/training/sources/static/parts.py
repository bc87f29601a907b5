"""Which module each kind of thing beside the table is."""

from __future__ import annotations

from typing import assert_never

from transformers import PretrainedConfig

from launcher.recipe.beside import Beside, Lexicon, NgramBag
from launcher.training.sources.static.lexicon import LexiconVectors
from launcher.training.sources.static.ngram_bag import NgramVotes
from launcher.training.sources.static.part import Part

PARTS: tuple[type[Part], ...] = (LexiconVectors, NgramVotes)


def part_of(noun: Beside) -> type[Part]:
    """The class of the module that this noun asks for."""
    match noun:
        case NgramBag():
            return NgramVotes
        case Lexicon():
            return LexiconVectors
        case _:
            assert_never(noun)


def parts_of(config: PretrainedConfig) -> list[Part]:
    """The modules that a model's configuration tells of."""
    return [part for part in (kind.of(config) for kind in PARTS) if part is not None]
