"""How texts are cut where the recipe leaves it open: decided once, from the training split, and told.

English and whatever else white space parts stays as it was: words, or what fastText's own vectors were made from. Where
nothing parts the words, Chinese is cut into the words that jieba finds, unless more than a tenth of them would be
unknown: to the vectors that are given, or to a tenth of the texts that is held back, if there are none. Then into what
leaves fewer unknown, characters or words. Other such scripts are cut into characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from launcher.recipe.declared import Tokens
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import Embedding, FastText, Static, WordVectors, tokens_of
from launcher.recipe.task import PlainTask, answer_of, plain, tokens_of_rows, with_tokens_of_rows
from launcher.training.data import scripts
from launcher.training.sources.static import vocabulary

LOOKED_AT = 20_000
"""Texts that are looked at, evenly chosen."""
UNSPACED, MOSTLY = 0.1, 0.8
"""The parts of all words above which a text is mixed with what nothing parts, and is all of that."""
KNOWN = 0.9
"""Part of the tokens that must be known."""
HELD_BACK = 10
ONE_BY_ONE = 0.95
FEWEST = 10
"""Tokens of Chinese by which the rows of a token task tell how they are cut."""
NAMES = {"jieba": "words that jieba finds", "characters": "characters", "words": "words", "whitespace": "words"}

Sentence = str | tuple[str, ...]


@dataclass(frozen=True)
class Cut:
    """How texts are cut, and why where that is worth a line."""

    tokens: Tokens
    why: str = ""

    @property
    def line(self) -> str:
        """What is told of it, or ''."""
        return f"texts are cut into {NAMES[self.tokens]}: {self.why}" if self.why else ""


def is_open(recipe: Recipe) -> bool:
    """Whether this recipe leaves open how its texts are cut."""
    if answer_of(recipe.task) == "tags":
        return tokens_of_rows(recipe.task) is None
    return isinstance(recipe.embedding, Static) and recipe.embedding.tokens is None


def chosen(recipe: Recipe, sentences: Sequence[Sentence]) -> Cut:
    """How this recipe's texts are to be cut; `sentences` are the training split's. Raises as the source does."""
    task, source = plain(recipe.task), recipe.embedding
    if answer_of(task) == "tags":
        given = source.tokens if isinstance(source, Static) else None
        return Cut(given) if given else _of_rows(sentences)
    assert isinstance(source, Static)
    usual = tokens_of(source, task)
    texts = sentences[:: max(1, len(sentences) // LOOKED_AT)]
    look = scripts.look(chain.from_iterable((text,) if isinstance(text, str) else text for text in texts))
    if look.unspaced < UNSPACED or look.cut_already:
        return Cut(usual)
    if not look.chinese:
        return Cut("characters", "no white space parts their words, and jieba knows Chinese only")
    candidates: tuple[Tokens, ...] = ("jieba", "characters") if look.unspaced > MOSTLY else ("jieba", usual)
    known = {tokens: _known(source, task, texts, tokens) for tokens in candidates}
    best = candidates[0] if known[candidates[0]] >= KNOWN else max(candidates, key=lambda one: known[one])
    of = "have a vector" if _has_vectors(source) else "of new texts are known"
    shares = ", ".join(f"{share:.1%} of {NAMES[tokens]}" for tokens, share in known.items())
    return Cut(best, f"Chinese stands without white space; {shares} {of}")


def settled(recipe: Recipe, tokens: Tokens) -> Recipe:
    """The recipe with what it left open said."""
    embedding: Embedding = recipe.embedding
    if isinstance(embedding, Static) and embedding.tokens is None:
        embedding = replace(embedding, tokens=tokens)
    return replace(recipe, task=with_tokens_of_rows(recipe.task, tokens), embedding=embedding)


def _of_rows(rows: Sequence[Sentence]) -> Cut:
    """How the rows of a token task were cut, for `predict` to cut likewise."""
    looked_at = chain.from_iterable(rows[:: max(1, len(rows) // LOOKED_AT)])
    tokens = [token for token in looked_at if scripts.UNSPACED.search(token)]
    single = sum(len(token) == 1 for token in tokens)
    if len(tokens) < FEWEST:
        return Cut("words")
    if single >= ONE_BY_ONE * len(tokens):
        return Cut("characters", "so are the rows")
    return Cut("jieba", "the rows hold Chinese words") if scripts.look(tokens).chinese else Cut("words")


def _has_vectors(source: Static) -> bool:
    return isinstance(source, WordVectors) or (isinstance(source, FastText) and source.model is not None)


def _known(source: Static, task: PlainTask, texts: Sequence[Sentence], tokens: Tokens) -> float:
    """The part of the tokens that given vectors know; where there are none, that a tenth of the texts shares with the
    others.
    """
    words = vocabulary.Words(replace(source, tokens=tokens), task)
    cut = list(words.cut(texts))
    if _has_vectors(source):
        counts = Counter(chain.from_iterable(cut))
        there = _held(source, counts)
        return sum(counts[token] for token in there) / max(1, counts.total())
    others = Counter(chain.from_iterable(line for place, line in enumerate(cut) if place % HELD_BACK))
    held_back = [token for line in cut[::HELD_BACK] for token in line]
    return sum(others[token] >= source.minimum_count for token in held_back) / max(1, len(held_back))


def _held(source: Static, counts: Counter[str]) -> set[str]:
    """Those of the tokens that have a vector."""
    if isinstance(source, WordVectors):
        from launcher.training.sources.vectors import word_vectors

        return word_vectors.held(source, counts)
    from launcher.training.sources.vectors import fasttext_vectors

    assert isinstance(source, FastText)
    return fasttext_vectors.held(source, counts)
