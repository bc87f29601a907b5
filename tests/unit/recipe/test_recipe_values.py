"""Overrides, origins, digest and document: what a resolved recipe holds, and where each value came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher import (
    Adapter,
    BiLSTM,
    BitFit,
    Columns,
    FastText,
    Freeze,
    Full,
    HeadOnly,
    LabelledFiles,
    LoRA,
    MeanPooling,
    Pretrained,
    QLoRA,
    RandomVectors,
    Recipe,
    RecipeError,
    Table,
    TaggedWords,
    TokenClassification,
    TopLayers,
    Training,
)
from launcher.recipe.recipe import LoadedRecipe, digest, document, from_document, load, resolve, walk


def resolved(recipe: Recipe, **overrides: str) -> LoadedRecipe:
    """Resolve with `--set`; a dotted name is written with two underscores."""
    return resolve(recipe, Path("mine.py"), "", {name.replace("__", "."): text for name, text in overrides.items()})


def value(recipe: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        recipe = getattr(recipe, name)
    return recipe


TYPED = [
    ("training__seed", "3", 3),
    ("training__learning_rate", "2e-4", 2e-4),
    ("training__learning_rate", "1", 1.0),
    ("training__clip_norm", "null", None),
    ("training__select_by", "loss", "loss"),
    ("training__precision", '"bf16"', "bf16"),
    ("task__labels", '["no", "yes"]', ("no", "yes")),
    ("peft__targets", '["query"]', ("query",)),
    ("embedding__lowercase", "true", True),
    ("embedding__encoder__hidden", "64", 64),
    ("data__train", '{"yes": "a.txt", "no": "b.txt"}', {"yes": "a.txt", "no": "b.txt"}),
    ("data__validation_size", "0.25", 0.25),
    ("data__validation_size", "100", 100),
    ("embedding__model", "123", "123"),
    ("embedding__model", "true", "true"),
    ("embedding__model", "a=b.bin", "a=b.bin"),
]


@pytest.mark.parametrize(("name", "text", "expected"), TYPED, ids=[f"{name}={text}" for name, text, _ in TYPED])
def test_an_override_is_a_json_value_or_text_whichever_the_field_takes(make, name, text, expected) -> None:
    recipe = make(data=LabelledFiles(train={"yes": "y.txt"}), embedding=FastText(), peft=LoRA())
    loaded = resolved(recipe, **{name: text})
    found = value(loaded.recipe, name.replace("__", "."))
    assert found == expected and type(found) is type(expected)


REFUSED = [
    ("training.seed", "x", "Training.seed: input should be a valid integer (got 'x')", ""),
    ("training.seed", "1.5", "Training.seed: input should be a valid integer", ""),
    ("training.seed", "-1", "Training.seed: input should be greater than or equal to 0 (got -1)", ""),
    ("training.learning_rate", "Infinity", "Training.learning_rate: input should be a finite number", ""),
    ("training.sead", "1", "there is no training.sead", "did you mean 'training.seed'?"),
    ("seed", "1", "there is no seed", "did you mean 'training.seed'?"),
    ("trainin.seed", "1", "there is no trainin.seed", "did you mean 'training.seed'?"),
    ("training.seed.x", "1", "there is no training.seed.x", "did you mean 'training.seed'?"),
    (
        "peft",
        '{"kind": "LoRA"}',
        "peft is an object; set one of its fields",
        "which one it is, the recipe says",
    ),
    ("embedding.encoder", '{"kind": "MeanPooling"}', "embedding.encoder is an object", None),
    ("peft.kind", "LoRA", "there is no peft.kind", None),
    ("embedding.encoder.kind", "MeanPooling", "there is no embedding.encoder.kind", None),
    ("peft.rank", "4", "there is no peft.rank", "peft is Full(), which has no fields"),
    ("task.zzz", "4", "there is no task.zzz", "known: task.class_weights, task.label_smoothing, task.labels"),
    ("data.train.yes", "b.txt", "there is no data.train.yes", None),
    ("data.train", "b.txt", "LabelledFiles.train: input should be an object (got 'b.txt')", ""),
    ("", "1", "there is no ", None),
]


@pytest.mark.parametrize(("dotted", "text", "what", "do"), REFUSED, ids=[row[0] + "=" + row[1] for row in REFUSED])
def test_a_wrong_override_is_refused_and_the_kind_never_changes(make, dotted, text, what, do) -> None:
    recipe = make(data=LabelledFiles(train={"yes": "y.txt"}), embedding=FastText(), peft=Full())
    with pytest.raises(RecipeError) as caught:
        resolve(recipe, Path("mine.py"), "", {dotted: text})
    (problem,) = caught.value.problems
    assert problem.what.startswith(what)
    assert problem.where == f"--set {dotted}={text}"
    assert do is None or problem.do == do


def test_all_wrong_overrides_are_told_together(make) -> None:
    with pytest.raises(RecipeError) as caught:
        resolved(make(), training__seed="x", peft__rnk="2", training__epochs="-1")
    assert [problem.where for problem in caught.value.problems] == [
        "--set training.seed=x",
        "--set peft.rnk=2",
        "--set training.epochs=-1",
    ]


def test_overrides_change_one_field_and_leave_the_recipe_as_it_was(make) -> None:
    recipe = make(peft=LoRA(rank=4))
    changed = resolved(recipe, peft__rank="16").recipe
    assert (changed.peft, recipe.peft) == (LoRA(rank=16), LoRA(rank=4))
    assert (changed.task, changed.data, changed.embedding) == (recipe.task, recipe.data, recipe.embedding)


def test_each_value_knows_where_it_came_from(write: Callable[..., Path]) -> None:
    origins = load(write(), {"training.seed": "0", "peft.alpha": "2"}).origins
    assert origins["peft.rank"] == "recipe"
    assert origins["peft.alpha"] == "--set"
    assert origins["peft.dropout"] == "default"
    assert origins["training.seed"] == "--set"
    assert origins["training.learning_rate"] == "derived"
    assert origins["training.select_by"] == "derived"


def test_every_value_has_an_origin(make) -> None:
    loaded = resolved(make(embedding=FastText()))
    assert set(loaded.origins) == {dotted for dotted, _, _ in walk(loaded.recipe)}
    assert "embedding.encoder.hidden" in loaded.origins


DERIVED = [
    ({"peft": Full()}, "training.learning_rate", 5e-5),
    ({"peft": LoRA()}, "training.learning_rate", 1e-3),
    ({"peft": Adapter()}, "training.learning_rate", 1e-3),
    *(({"peft": peft}, "training.learning_rate", 1e-3) for peft in (QLoRA(), BitFit(), HeadOnly())),
    *(({"peft": peft}, "training.learning_rate", 5e-5) for peft in (TopLayers(), Freeze(pattern="a"))),
    ({"embedding": FastText()}, "training.learning_rate", 2e-3),
    ({"embedding": RandomVectors(), "peft": LoRA()}, "training.learning_rate", 2e-3),
    *(
        ({"peft": peft, "training": Training(optimizer="sgd")}, "training.learning_rate", rate)
        for peft, rate in [(Full(), 0.01), (TopLayers(), 0.01), (Freeze(pattern="a"), 0.01), (LoRA(), 0.1)]
    ),
    ({"embedding": FastText(), "training": Training(optimizer="sgd")}, "training.learning_rate", 0.1),
    ({"embedding": FastText(), "training": Training(optimizer="adafactor")}, "training.learning_rate", 1e-2),
    ({"peft": Full(), "training": Training(optimizer="adafactor")}, "training.learning_rate", 1e-3),
    ({"peft": LoRA(), "training": Training(optimizer="adafactor")}, "training.learning_rate", 0.1),
    ({}, "training.select_by", "accuracy"),
    ({"task": TokenClassification()}, "training.select_by", "entity_f1"),
    ({"embedding": FastText(), "task": TokenClassification(tokens="characters")}, "embedding.tokens", "characters"),
]


@pytest.mark.parametrize(("nouns", "dotted", "expected"), DERIVED)
def test_what_is_left_open_follows_from_the_rest(make, nouns, dotted, expected) -> None:
    loaded = resolved(make(**nouns))
    assert (value(loaded.recipe, dotted), loaded.origins[dotted]) == (expected, "derived")


def test_what_was_given_is_never_derived(make) -> None:
    training = Training(learning_rate=0.5, select_by="loss")
    loaded = resolved(make(embedding=FastText(tokens="characters"), training=training))
    assert (loaded.recipe.training, loaded.recipe.embedding.tokens) == (training, "characters")
    assert "derived" not in loaded.origins.values()


def test_the_digest_is_of_values_not_of_text(write: Callable[..., Path], source: str) -> None:
    plain = load(write())
    rewritten = "# a comment\n" + source.replace("rank=4,", "rank=2 + 2, alpha=16,").replace("epochs=2, ", "epochs=2,")
    other = load(write(rewritten, "other.py"))
    assert digest(plain.recipe) == digest(other.recipe)
    assert len(digest(plain.recipe)) == 64 and set(digest(plain.recipe)) <= set("0123456789abcdef")


def test_the_digest_never_changes_by_itself() -> None:
    """A stored run is resumed by its digest: a change of this value is a break to be announced."""
    recipe = Recipe(
        task=TokenClassification(labels=("O", "B-人"), tokens="words"),
        data=Columns(train="a.conll"),
        embedding=Pretrained(model="m"),
        peft=LoRA(rank=4),
        training=Training(learning_rate=1e-3),
    )
    assert digest(recipe) == "fe4ca4547fed83ce9a6ec6be627ebe32eaeebb43106c6282dd502f4bdfa9e01a"


def changed(dotted: str, now: Any, labelled: bool) -> str:
    """Another value that the field takes, as `--set` would give it."""
    told = {
        "task.labels": '["x"]',
        "task.class_weights": '"balanced"',
        "training.recompute": "true",
        "data.duplicates": '"drop"',
        "data.encoding": '"gbk"',
        "data.columns": '["text", "label"]',
        "data.separator": '";"',
        "data.comments": '"#"',
        "data.augment": '{"kind": "Augment"}',
        "peft.start": '"pissa"',
        "data.entities": '{"x": "Y"}',
        "embedding.algorithm": '"cbow"',
        "embedding.beside": '[{"kind": "NgramBag"}]',
        "peft.targets": '["x"]',
        "peft.also_train": '["x"]',
        "peft.placement": '"houlsby"',
        "peft.activation": '"relu"',
        "training.optimizer": '"sgd"',
        "training.schedule": '"cosine"',
        "training.precision": '"bf16"',
        "training.dropout": "0.25",
        "training.learning_rate": "0.25",
        "embedding.new_tokens": '["a"]',
    }
    if dotted.endswith(".tokens"):
        return "words" if now == "characters" else "characters"
    if dotted in told:
        return told[dotted]
    if isinstance(now, bool):
        return json.dumps(not now)
    if dotted in ("data.validation", "data.test"):
        return '{"a": "b"}' if labelled else "other"
    if isinstance(now, dict):
        return json.dumps({**now, "another": "file"})
    return {int: "77", float: "0.77", str: "other", type(None): "7"}[type(now)]


RECIPES = {
    "table": {"data": Table(train="a"), "peft": LoRA()},
    "labelled": {"data": LabelledFiles(train={"是": "是.txt"}), "embedding": FastText(), "peft": Adapter()},
    "columns": {"task": TokenClassification(), "data": Columns(train="a"), "embedding": RandomVectors()},
    "tagged": {
        "task": TokenClassification(tokens="characters", labels=("O", "B-地")),
        "data": TaggedWords(train="a", entities={"ns": "地"}),
        "embedding": FastText(encoder=MeanPooling(hidden=3)),
    },
    "bilstm": {"embedding": RandomVectors(encoder=BiLSTM(layers=2)), "peft": LoRA(targets=("a", "b"))},
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_digest_changes_with_any_value(make, name: str) -> None:
    recipe = resolve(make(**RECIPES[name]), Path("x.py"), "", {}).recipe
    seen = {digest(recipe): "the recipe itself"}
    labelled = isinstance(recipe.data, LabelledFiles)
    for dotted, now, _ in walk(recipe):
        other = resolve(recipe, Path("x.py"), "", {dotted: changed(dotted, now, labelled)}).recipe
        assert digest(other) not in seen, (dotted, seen.get(digest(other)))
        seen[digest(other)] = dotted
    assert len(seen) > 20


def test_the_digest_changes_with_the_kind(make) -> None:
    kinds = [make(peft=peft) for peft in (Full(), LoRA(), Adapter())]
    kinds += [make(embedding=FastText(encoder=encoder)) for encoder in (MeanPooling(), BiLSTM())]
    assert len({digest(recipe) for recipe in kinds}) == len(kinds)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_comes_back_from_its_document(make, name: str) -> None:
    recipe = make(**RECIPES[name])
    again = from_document(json.loads(json.dumps(document(recipe))))
    assert again == recipe
    assert digest(again) == digest(recipe)
    whole = resolved(recipe).recipe
    assert from_document(document(whole)) == whole


def test_the_round_trips_cover_every_kind(make) -> None:
    kinds = set()
    for nouns in RECIPES.values():
        recipe = make(**nouns)
        kinds |= {noun.kind for noun in (recipe.task, recipe.data, recipe.embedding, recipe.peft, recipe.training)}
        kinds |= {recipe.embedding.encoder.kind} if hasattr(recipe.embedding, "encoder") else set()
    assert len(kinds) == 15


def test_a_document_of_a_stranger_is_refused(make) -> None:
    told = document(make())
    for broken in ({}, {**told, "peft": {"kind": "Nope"}}, {**told, "training": {**told["training"], "epochs": -1}}):
        with pytest.raises(RecipeError):
            from_document(broken)
