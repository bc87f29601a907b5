"""What may stand beside the table of a static source: it knows something of the texts that vectors of tokens do not."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from launcher.recipe.noun import noun
from launcher.recipe.sizes import Buckets, Count


@noun
class NgramBag:
    """N-grams that vote on a whole text beside the encoder (fastText's wordNgrams, Joulin et al. 2016)."""

    kind: Literal["NgramBag"] = "NgramBag"
    longest: Annotated[int, Field(ge=2, le=100)] = 2
    """Tokens of the longest n-gram; every shorter one and single tokens vote too."""
    minimum_count: Count = 2
    """N-grams that fewer training texts hold have no vote."""
    buckets: Buckets | None = None
    """N-grams of several tokens share so many votes by fastText's own hash; None gives each n-gram its own."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The files that it needs besides the data, as the recipe names them."""
        return ()


@noun
class Lexicon:
    """Word lists or rated words: what they say of the longest listed word that covers a token is added to its vector.

    By weights that train (after Ma et al. 2020, arXiv 1908.05969).
    """

    kind: Literal["Lexicon"] = "Lexicon"
    files: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """Paths (or `package:…`) of YAML, JSON or text."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The files that it needs besides the data, as the recipe names them."""
        return (self.files,) if isinstance(self.files, str) else self.files


Beside = Annotated[NgramBag | Lexicon, Field(discriminator="kind")]

EARLIER: dict[str, Any] = {"ngrams": 1, "ngram_minimum_count": 2, "ngram_buckets": None, "lexicon": None}
"""The fields that static sources had before there was `beside`, with their defaults."""
FORMER: dict[str, Any] = {"encoder": {"kind": "MeanPooling", "hidden": 128}, "beside": []}
"""What `FastTextClassifier` had fields for, though no other value was let through than these."""


def from_earlier(source: dict[str, Any]) -> dict[str, Any]:
    """An embedding of a recipe's document, in today's fields whenever it was written."""
    if source.get("kind") == "FastTextClassifier":
        return {name: value for name, value in source.items() if FORMER.get(name, ...) != value}
    if not EARLIER.keys() & source.keys():
        return source
    then = {**EARLIER, **source}
    beside = []
    if then["ngrams"] != EARLIER["ngrams"]:
        shape = {"longest": then["ngrams"], "minimum_count": then["ngram_minimum_count"]}
        beside.append({"kind": "NgramBag", **shape, "buckets": then["ngram_buckets"]})
    if then["lexicon"] is not None:
        beside.append({"kind": "Lexicon", "files": then["lexicon"]})
    return {**{name: value for name, value in source.items() if name not in EARLIER}, "beside": beside}


def as_digested(source: dict[str, Any]) -> dict[str, Any]:
    """An embedding as JSON values, for a digest: with nothing beside its table it has the digest that it always had."""
    if source.get("kind") == "FastTextClassifier":
        source = {**source, **FORMER}
    if source.get("beside") != []:
        return source
    return {**{name: value for name, value in source.items() if name != "beside"}, **EARLIER}
