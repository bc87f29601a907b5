"""What a matrix out of a pretrained model, and a mixture of sources, cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem
from launcher.recipe.noun import field_names
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.source import EmbeddingMatrix, Encoded, FastText, Mixture, RandomVectors


def _in_context(loaded: LoadedRecipe) -> Iterator[Problem]:
    embedding = loaded.recipe.embedding
    if isinstance(embedding, EmbeddingMatrix) and embedding.compose == "context" and embedding.read_from == "inputs":
        what = "a row of the input table is the same in every text, so there is nothing to compose in context"
        yield Problem(what, loaded.where("embedding.compose"), 'write compose="mean", or leave read_from="inputs" out')


def _mixed(loaded: LoadedRecipe) -> Iterator[Problem]:
    """Fields that the mixture has for all its sources stand there once."""
    usual = RandomVectors()
    mixture, where = loaded.recipe.embedding, loaded.where("embedding.sources")
    for source in mixture.sources if isinstance(mixture, Mixture) else ():
        given = [name for name in field_names(Encoded) if getattr(source, name) != getattr(usual, name)]
        if given:
            what = f"{source.kind} in a Mixture says {', '.join(given)}, which all its sources share"
            yield Problem(what, where, f"write Mixture({given[0]}=…, sources=…)")
        if isinstance(source, FastText) and source.subword_rows:
            what = "a mixture has one row for each token, and FastText(subword_rows=True) has rows of subwords"
            yield Problem(what, where, "leave subword_rows out: a token then gets the mean of its subwords")


RULES = (_in_context, _mixed)
