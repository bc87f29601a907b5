"""Gate 1: each noun refuses wrong values when it is built, all of them together, and says what would be right."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing

import pytest
from wrong_nouns import WRONG

import launcher
from launcher import (
    IA3,
    OFT,
    AdaLoRA,
    Adapter,
    Augment,
    BiLSTM,
    BitFit,
    CausalLanguageModel,
    Columns,
    Conversations,
    CustomEmbedding,
    CustomMethod,
    CustomTask,
    CustomTracker,
    Dialogue,
    EmbeddingMatrix,
    FastText,
    FastTextClassifier,
    Freeze,
    FromConfig,
    Full,
    Generation,
    HeadOnly,
    ImageClassification,
    ImageFolders,
    LabelledFiles,
    LabelledLines,
    Lexicon,
    LoRA,
    MaskedLanguageModel,
    MeanPooling,
    Mixture,
    MultiLabelClassification,
    NewTokens,
    NgramBag,
    Pairs,
    ParallelLines,
    PrefixTuning,
    Pretrained,
    Prompted,
    PromptTuning,
    QLoRA,
    QuestionAnswering,
    Questions,
    RandomVectors,
    Recipe,
    RecipeError,
    Regression,
    RelationExtraction,
    Reranker,
    SemEvalLines,
    Summarisation,
    Table,
    TaggedWords,
    TextClassification,
    TextCNN,
    TextEmbedding,
    Texts,
    TokenClassification,
    TopLayers,
    TrainedTokenizer,
    Training,
    Transformer,
    Translation,
    VeRA,
    WordVectors,
)
from launcher.recipe import recipe_text
from launcher.recipe.noun import field_names, given_fields

NOUNS = {
    Adapter: {},
    Augment: {},
    BiLSTM: {},
    BitFit: {},
    CustomEmbedding: {"file": "my.py"},
    EmbeddingMatrix: {"model": "m"},
    Mixture: {"sources": (RandomVectors(), RandomVectors())},
    CustomMethod: {"file": "my.py"},
    CustomTask: {"file": "my.py"},
    CustomTracker: {"file": "my.py"},
    Freeze: {"pattern": "embeddings"},
    HeadOnly: {},
    TopLayers: {},
    Columns: {"train": "a.conll"},
    FastText: {},
    FastTextClassifier: {},
    Full: {},
    Generation: {},
    FromConfig: {"config": {"model_type": "resnet"}},
    ImageClassification: {},
    ImageFolders: {"train": "photos"},
    LabelledFiles: {"train": {"yes": "yes.txt"}},
    LabelledLines: {"train": ["a.txt", "b.txt"]},
    Lexicon: {"files": "a.txt"},
    LoRA: {},
    QLoRA: {},
    PrefixTuning: {},
    PromptTuning: {},
    NewTokens: {},
    VeRA: {},
    OFT: {},
    IA3: {},
    AdaLoRA: {},
    MaskedLanguageModel: {},
    MeanPooling: {},
    MultiLabelClassification: {},
    NgramBag: {},
    Pretrained: {"model": "a/model"},
    Prompted: {"template": "{text} {mask}", "words": {"a": "one", "b": ("two", "three")}},
    QuestionAnswering: {},
    Questions: {"train": "a.json"},
    RandomVectors: {},
    Regression: {},
    Pairs: {"train": "a.jsonl"},
    Reranker: {},
    TextEmbedding: {},
    RelationExtraction: {},
    SemEvalLines: {"train": "a.txt"},
    CausalLanguageModel: {},
    Conversations: {"train": "a.json"},
    Dialogue: {},
    Texts: {"train": "a.txt"},
    ParallelLines: {"train": {"text": "a.en", "target": "a.de"}},
    Translation: {},
    Summarisation: {},
    Table: {"train": "a.csv"},
    TaggedWords: {"train": "a.txt", "entities": {"nr": "PER"}},
    TextCNN: {},
    TrainedTokenizer: {},
    TextClassification: {},
    TokenClassification: {},
    Training: {},
    Transformer: {},
    WordVectors: {"file": "a.vec"},
}
"""Every noun but Recipe, with the least that must be given."""


@pytest.mark.parametrize("noun", [cls for cls in NOUNS if "source" not in field_names(cls)])
def test_a_recipe_made_in_code_is_written_as_one(noun: type) -> None:
    """Every noun with its least, and with every field that takes one of its defaults given."""
    made = noun(**NOUNS[noun])
    for value in (made, dataclasses.replace(made, **{name: getattr(made, name) for name in field_names(noun)})):
        names: dict[str, object] = {}
        exec(f"from launcher import *\nmade = {recipe_text._call(value, '')}", names)
        assert names["made"] == value


def test_the_text_of_a_custom_file_is_not_written_into_the_recipe() -> None:
    made = CustomTask(file="my.py", source="def work(task, reader): ...", options={"a": [1, {"b": None}], "文": "本"})
    names: dict[str, object] = {}
    exec(f"from launcher import *\nmade = {recipe_text._call(made, '')}", names)
    assert names["made"] == dataclasses.replace(made, source=None)


@pytest.mark.parametrize(
    ("field", "value", "what", "do"),
    [
        ("task", TextClassification, "this is a class and no value", "write TextClassification(…)"),
        ("peft", "lora", "this is not an object of a recipe (got 'lora')", "write one, e.g. Full() or Training()"),
        ("embedding", LoRA(), "LoRA does not belong here", "known: 'Pretrained', 'FastText', 'FastTextClassifier', "),
    ],
)
def test_a_recipe_says_which_of_its_nouns_is_none(field: str, value: object, what: str, do: str) -> None:
    nouns = {"task": TextClassification(), "data": Table(train="a"), "embedding": FastText(), "peft": Full()}
    with pytest.raises(RecipeError) as caught:
        Recipe(**{**nouns, "training": Training(), field: value})
    (problem,) = caught.value.problems
    assert problem.what == f"Recipe.{field}: {what}"
    assert problem.do.startswith(do)


def test_the_tables_cover_every_noun_of_the_public_vocabulary() -> None:
    public = {
        value
        for value in (getattr(launcher, name) for name in launcher.__all__)
        if inspect.isclass(value) and dataclasses.is_dataclass(value) and not issubclass(value, Exception)
    }
    assert public == {*NOUNS, Recipe}
    assert {noun for noun, _, _ in WRONG} == set(NOUNS)


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__)
def test_a_noun_is_frozen_and_knows_its_kind(noun: type) -> None:
    value = noun(**NOUNS[noun])
    assert value.kind == noun.__name__
    for name in [*field_names(noun), "kind"]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 1)


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__)
def test_a_noun_refuses_an_unknown_field_and_a_value_without_name(noun: type) -> None:
    with pytest.raises(RecipeError) as caught:
        noun(**NOUNS[noun], zzz=1)
    known = ", ".join(sorted(field_names(noun)))
    assert str(caught.value) == f"{noun.__name__}.zzz: there is no such field" + (
        f"\n  do:    known: {known}" if known else ""
    )
    with pytest.raises(RecipeError) as caught:
        noun("value")
    assert str(caught.value).startswith(f"{noun.__name__}: write each value with its name")


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__)
def test_a_noun_remembers_which_fields_were_given(noun: type) -> None:
    assert given_fields(noun(**NOUNS[noun])) == set(NOUNS[noun])
    assert given_fields(noun(**NOUNS[noun], kind=noun.__name__)) == set(NOUNS[noun])


def test_a_given_default_is_told_from_one_that_was_left_out() -> None:
    assert given_fields(LoRA(rank=8)) == {"rank"}
    assert given_fields(LoRA()) == frozenset()
    assert LoRA(rank=8) == LoRA()


@pytest.mark.parametrize(("noun", "values", "told"), WRONG, ids=lambda value: getattr(value, "__name__", None))
def test_a_wrong_value_is_refused_by_name(noun: type, values: dict[str, object], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        noun(**values)
    assert told in str(caught.value)


@pytest.mark.parametrize("noun", NOUNS)
def test_no_whole_number_of_a_noun_is_without_a_bound(noun: type) -> None:
    """What would take terabytes or years is a slip, and is told before anything is planned from it."""
    hints = typing.get_type_hints(noun, include_extras=True)
    numbers = [name for name in field_names(noun) if "int" in re.findall(r"\bint\b", str(hints[name]))]
    for name in numbers:
        for absurd in (10**18, -(10**18)):
            with pytest.raises(RecipeError, match=rf"{noun.__name__}\.{name}"):
                noun(**{**NOUNS[noun], name: absurd})
    assert numbers or noun not in (Training, FastText, RandomVectors, LoRA, Adapter, Transformer, BiLSTM)


ALLOCATES = [
    (RandomVectors, "dimension"),
    (CustomEmbedding, "dimension"),
    (EmbeddingMatrix, "dimension"),
    (FastText, "dimension"),
    (FastText, "buckets"),
    (FastTextClassifier, "buckets"),
    (FastTextClassifier, "word_ngrams"),
]
ALLOCATES += [(FastText, "epochs"), (FastText, "window"), (BiLSTM, "hidden"), (BiLSTM, "layers"), (LoRA, "rank")]
ALLOCATES += [(Adapter, "bottleneck"), (Transformer, "heads"), (TextCNN, "filters"), (MeanPooling, "hidden")]
ALLOCATES += [(Training, "epochs"), (Training, "micro_batch_size"), (Pretrained, "max_length"), (NgramBag, "longest")]
ALLOCATES += [(NgramBag, "buckets")]


@pytest.mark.parametrize(("noun", "name"), ALLOCATES)
def test_what_allocates_or_loops_is_bounded_far_below(noun: type, name: str) -> None:
    with pytest.raises(RecipeError, match=r"input should be less than or equal to [\d]+ \(got 1000000000\)"):
        noun(**{**NOUNS[noun], name: 10**9})
