"""How a model writes texts, in the words of transformers' own GenerationConfig. It is not imported for that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from launcher.errors import Problem
from launcher.recipe.noun import noun

AboveZero = Annotated[float, Field(gt=0)]
Tokens = Annotated[int, Field(ge=1, le=2**20)]
FromZero = Annotated[int, Field(ge=0, le=2**20)]
Part = Annotated[float, Field(gt=0, le=1)]
SAMPLING = ("temperature", "top_k", "top_p", "min_p")
"""What has no effect unless tokens are drawn."""
BEAMS = ("length_penalty", "early_stopping")
"""What has no effect on a single beam."""


@noun
class Generation:
    """How texts are written: the likeliest token at each step, unless beams or sampling are set.

    The fields are transformers' own words; only `seed` is ours.
    """

    kind: Literal["Generation"] = "Generation"
    max_new_tokens: Tokens = 128
    """Most tokens of a text. There is always such an end: a model that is not trained yet may never end by itself. Of a
    decoder a prompt and its text share the longest input, of which the text has half at most."""
    min_new_tokens: FromZero = 0
    """Fewest tokens of a text."""
    num_beams: Annotated[int, Field(ge=1, le=64)] = 1
    """How many beginnings are followed side by side; the likeliest whole text is taken (beam search)."""
    length_penalty: float = 1.0
    """Exponent of the length that a beam's log-probability is divided by: above 0 long texts win more often."""
    early_stopping: bool = False
    """Whether a search ends once as many beams have ended as there are."""
    no_repeat_ngram_size: FromZero = 0
    """Length of the sequences of tokens that may occur once only; 0 forbids none."""
    repetition_penalty: AboveZero = 1.0
    """What the scores of tokens that occur already are divided by (Keskar et al. 2019, arXiv 1909.05858)."""
    do_sample: bool = False
    """Whether tokens are drawn by their probabilities. Each text has a random stream of its own, of `seed` and its
    number: what is drawn does not depend on batches, or on how many processes there are."""
    temperature: AboveZero = 1.0
    """What scores are divided by before a token is drawn: below 1 likely tokens become likelier."""
    top_k: FromZero = 0
    """How many of the likeliest tokens one is drawn from; 0 takes all."""
    top_p: Part = 1.0
    """Part of the probability that the likeliest tokens, from which one is drawn, have together (nucleus sampling,
    Holtzman et al. 2020, arXiv 1904.09751)."""
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Tokens less probable than this part of the likeliest one's probability are not drawn."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of what is drawn."""


def conflicts(generation: Generation) -> Iterator[Problem]:
    """Settings that would change nothing, or cannot be had together; `where` is the field's name."""
    usual = Generation()
    changed = {name for name in (*SAMPLING, *BEAMS) if getattr(generation, name) != getattr(usual, name)}
    if generation.do_sample and generation.num_beams > 1:
        what = "beams follow what is likeliest, and sampling draws"
        yield Problem(what, "do_sample", "set either do_sample=True or num_beams above 1")
    for name in SAMPLING:
        if name in changed and not generation.do_sample:
            yield Problem(f"{name} is of sampling, and the likeliest token is taken", name, "set do_sample=True too")
    for name in BEAMS:
        if name in changed and generation.num_beams == 1:
            yield Problem(f"{name} is of beam search, and there is one beam", name, "set num_beams above 1 too")
    if generation.min_new_tokens > generation.max_new_tokens:
        least, most = generation.min_new_tokens, generation.max_new_tokens
        what = f"a text is to have at least {least:,} tokens and at most {most:,}"
        yield Problem(what, "min_new_tokens", "set max_new_tokens higher")
