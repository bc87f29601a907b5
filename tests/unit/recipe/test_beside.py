"""What stands beside the table of a static source: one field, its earlier spelling, and what `--set` takes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from launcher import (
    BiLSTM,
    FastText,
    FastTextClassifier,
    Full,
    Lexicon,
    LoRA,
    NgramBag,
    Pretrained,
    RandomVectors,
    Recipe,
    RecipeError,
    Table,
    TextClassification,
    TextCNN,
    Training,
    WordVectors,
)
from launcher.recipe import recipe_text
from launcher.recipe.recipe import digest, document, from_document, resolve, walk
from launcher.recipe.source import Embedding

BOTH = (NgramBag(longest=3), Lexicon(files=("a.txt", "b.yaml")))


def made(embedding: Embedding, **sets: str) -> Recipe:
    recipe = Recipe(
        task=TextClassification(), data=Table(train="a.csv"), embedding=embedding, peft=Full(), training=Training()
    )
    return resolve(recipe, Path("x.py"), "", {f"embedding.{name}": text for name, text in sets.items()}).recipe


@pytest.mark.parametrize("source", [FastText, RandomVectors])
def test_a_bag_and_a_lexicon_stand_side_by_side(source: Any) -> None:
    recipe = made(source(beside=BOTH))
    assert recipe.embedding == source(beside=BOTH)
    assert [noun.reads for noun in BOTH] == [(), ("a.txt", "b.yaml")] and Lexicon(files="a.txt").reads == ("a.txt",)
    assert from_document(json.loads(json.dumps(document(recipe)))) == recipe
    told = dict((dotted, value) for dotted, value, _ in walk(recipe))["embedding.beside"]
    assert told == [
        {"kind": "NgramBag", "longest": 3, "minimum_count": 2, "buckets": None},
        {"kind": "Lexicon", "files": ["a.txt", "b.yaml"]},
    ]
    # what is shown of it is what `--set` takes
    assert made(source(), beside=json.dumps(told)) == recipe
    assert made(source(beside=BOTH), beside="[]") == made(source())


def test_a_recipe_with_them_is_written_as_one() -> None:
    names: dict[str, Any] = {}
    exec(recipe_text.written(made(FastText(beside=BOTH))).partition("if __name__")[0], names)
    assert names["recipe"].embedding == FastText(beside=BOTH)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"beside": NgramBag()}, "FastText.beside: input should be a tuple, even of one", "write (NgramBag(…),)"),
    ({"beside": (NgramBag,)}, "FastText.beside.0: this is a class and no value", "write NgramBag(…)"),
    ({"beside": (BiLSTM(),)}, "FastText.beside.0: BiLSTM does not belong here", "known: 'NgramBag', 'Lexicon'"),
    ({"ngrams": 4}, "FastText.ngrams: there is no such field", "write beside=(NgramBag(longest=…),)"),
    (
        {"ngram_minimum_count": 1},
        "FastText.ngram_minimum_count: there is no such field",
        "write beside=(NgramBag(minimum_count=…),)",
    ),
    ({"ngram_buckets": 9}, "FastText.ngram_buckets: there is no such field", "write beside=(NgramBag(buckets=…),)"),
    ({"lexicon": "a.txt"}, "FastText.lexicon: there is no such field", "write beside=(Lexicon(files=…),)"),
    # what others call it
    ({"wordNgrams": 2}, "FastText.wordNgrams: there is no such field", "write beside=(NgramBag(longest=…),)"),
    ({"gazetteer": "a"}, "FastText.gazetteer: there is no such field", "write beside=(Lexicon(files=…),)"),
]


@pytest.mark.parametrize(("values", "what", "do"), WRONG)
def test_what_is_written_wrongly_is_told_as_it_should_be(values: dict[str, Any], what: str, do: str) -> None:
    with pytest.raises(RecipeError) as caught:
        FastText(**values)
    assert [(problem.what, problem.do) for problem in caught.value.problems] == [(what, do)]


def test_a_field_of_neither_is_offered_where_it_is_known() -> None:
    with pytest.raises(RecipeError) as caught:
        NgramBag(ngrams=3)
    assert caught.value.problems[0].do == "did you mean 'longest'?"
    with pytest.raises(RecipeError) as caught:
        LoRA(ngrams=3)
    assert caught.value.problems[0].do.startswith("perhaps longest of NgramBag or beside of FastText or ")


@pytest.mark.parametrize(
    ("name", "what", "do"),
    [
        (
            "ngrams",
            "there is no embedding.ngrams",
            'set embedding.beside as JSON: [{"kind": "NgramBag", "longest": …}]',
        ),
        ("lexicon", "there is no embedding.lexicon", 'set embedding.beside as JSON: [{"kind": "Lexicon", "files": …}]'),
        ("besides", "there is no embedding.besides", "did you mean 'embedding.beside'?"),
        ("beside", "FastText.beside: input should be a valid array (got 1)", ""),
    ],
)
def test_an_earlier_name_on_the_command_line_is_told_what_to_write(name: str, what: str, do: str) -> None:
    with pytest.raises(RecipeError) as caught:
        made(FastText(), **{name: "1"})
    assert [(problem.what, problem.do) for problem in caught.value.problems] == [(what, do)]


EARLIER = [
    ({"ngrams": 1, "ngram_minimum_count": 2, "ngram_buckets": None, "lexicon": None}, ()),
    (
        {"ngrams": 4, "ngram_minimum_count": 1, "ngram_buckets": None, "lexicon": None},
        (NgramBag(longest=4, minimum_count=1),),
    ),
    (
        {"ngrams": 2, "ngram_minimum_count": 2, "ngram_buckets": 100, "lexicon": ["a.txt", "b.yaml"]},
        (NgramBag(buckets=100), Lexicon(files=("a.txt", "b.yaml"))),
    ),
    ({"ngrams": 1, "ngram_minimum_count": 2, "ngram_buckets": None, "lexicon": "a.txt"}, (Lexicon(files="a.txt"),)),
    ({"ngrams": 3}, (NgramBag(longest=3),)),
]


@pytest.mark.parametrize(("earlier", "beside"), EARLIER)
def test_a_document_with_the_earlier_fields_is_read(earlier: dict[str, Any], beside: tuple[Any, ...]) -> None:
    """As saved models and runs of earlier versions hold it."""
    told = document(made(WordVectors(file="a.vec", max_length=9)))
    del told["embedding"]["beside"]
    told["embedding"] |= earlier
    assert from_document(told).embedding == dataclasses.replace(WordVectors(file="a.vec", max_length=9), beside=beside)


def test_fasttext_s_classifier_is_read_with_the_fields_that_it_had() -> None:
    told = document(made(FastTextClassifier(dimension=9)))
    assert not {"encoder", "beside"} & told["embedding"].keys()
    former = {"encoder": {"kind": "MeanPooling", "hidden": 128}, "beside": []}
    told["embedding"] |= former
    assert from_document(told).embedding == FastTextClassifier(dimension=9)
    told["embedding"]["encoder"] = {"kind": "MeanPooling", "hidden": 64}
    with pytest.raises(RecipeError, match=r"FastTextClassifier\.encoder: there is no such field"):
        from_document(told)


def test_a_strangers_earlier_fields_are_refused() -> None:
    told = document(made(FastText()))
    told["embedding"]["ngrams"] = "many"
    with pytest.raises(RecipeError, match="longest: input should be a valid integer"):
        from_document(told)


DIGESTS: list[tuple[Embedding, str]] = [
    (FastText(), "6af54a318c17d8eec26820743fd80ce3f8ee22575219bd318c087258fbfe945f"),
    (RandomVectors(encoder=TextCNN()), "ce50bff1df58446f360f65af36bc4615d5e7b30371cfccc799ce8b3c5da13496"),
    (WordVectors(file="a.vec"), "35aa18d6b3b2ae08ae0eedc114d73ee4d06b8d6b17a568b804d285a8810a8ff5"),
    (Pretrained(model="m"), "51f3f6cb83f6577b666373ebbcd802b073e7b143efd84ce969874deae0056e85"),
    (FastTextClassifier(), "1388e5dbbe1ab6f481c145c103e6d62319c9f9bd8b61541c9c3fa00bb836f6ea"),
]
"""Those of these recipes while n-grams and lexicons were fields of the sources, and `FastTextClassifier` had an encoder
and what stands beside: their runs are resumed by them."""


@pytest.mark.parametrize(("embedding", "expected"), DIGESTS)
def test_a_recipe_with_nothing_beside_the_table_has_the_digest_that_it_always_had(
    embedding: Embedding, expected: str
) -> None:
    assert digest(made(embedding)) == expected


def test_what_stands_beside_the_table_counts_in_the_digest() -> None:
    several = [(), (NgramBag(),), (NgramBag(longest=3),), (Lexicon(files="a"),), (Lexicon(files="b"),), BOTH]
    assert len({digest(made(RandomVectors(beside=beside))) for beside in several}) == len(several)
