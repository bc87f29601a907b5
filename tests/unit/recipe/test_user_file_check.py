"""A file of the user's own is judged before anything starts, without being imported, and travels in the recipe."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from launcher import CustomEmbedding, CustomMethod, CustomTask, RandomVectors, Recipe, RecipeError, TextClassification
from launcher.errors import Problem
from launcher.recipe.recipe import digest, document, from_document, resolve, shown

APPLY = "def apply(model, new, **options): ...\n"
GOOD = "raise SystemExit('imported')\ndef apply(model, new_modules, rank=4, *, scale=1.0): ...\n"
MAKES = {
    "peft": lambda file, **options: CustomMethod(file=file, options=options),
    "embedding": lambda file, **options: CustomEmbedding(file=file, options=options),
    "task": lambda file, **options: CustomTask(file=file, options=options),
}


@pytest.fixture
def resolved(make, tmp_path):
    """Resolve a recipe whose one custom member has this file."""

    def resolve_with(text: str | None, name: str = "peft", file: str = "my.py", **options):
        if text is not None:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text(text)
        recipe: Recipe = make(**{"embedding": RandomVectors(), name: MAKES[name](file, **options)})
        return resolve(recipe, tmp_path / "mine.py", "", {})

    return resolve_with


def test_the_text_travels_with_the_recipe_and_is_not_run(resolved) -> None:
    loaded = resolved(GOOD, rank=8, scale=0.5)
    assert loaded.recipe.peft.source == GOOD
    assert loaded.origins["peft.source"] == "derived"
    assert from_document(document(loaded.recipe)) == loaded.recipe
    assert shown("peft.source", GOOD) == "2 lines, sha256 " + hashlib.sha256(GOOD.encode()).hexdigest()[:12]
    assert shown("peft.file", "my.py") == '"my.py"'


def test_another_text_or_option_is_another_recipe(resolved) -> None:
    told = [resolved(text, rank=rank) for text, rank in ((GOOD, 8), (GOOD + "# more", 8), (GOOD, 9), (GOOD, 8))]
    digests = [digest(loaded.recipe) for loaded in told]
    assert len(set(digests)) == 3 and digests[0] == digests[3]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("peft", "def apply(model, new_modules): ..."),
        ("peft", "def apply(*everything, **options): ..."),
        ("peft", "def apply(model, /, new, *, rank): ..."),
        ("peft", "def apply(model, new, rank): ...\ndef penalty(model, rank): ...\ndef after_step(m, step, **o): ..."),
        ("task", "penalty = 1\ndef work(task, reader, rank=2): ..."),
        ("embedding", "def vectors(tokens, dimension, rank): ..."),
        ("task", "class Mine: ...\ndef work(like, reader, rank=2): return Mine()"),
    ],
)
def test_a_function_that_fits_is_taken(resolved, name, text) -> None:
    options = {"rank": 3} if "rank" in text or "options" in text else {}
    assert resolved(text, name, **options).recipe


@pytest.mark.parametrize(
    ("name", "text", "options", "what", "where", "do"),
    [
        ("peft", None, {}, "there is no file {folder}/my.py", "mine.py:1", "paths count from "),
        ("peft", "def apply(model:", {}, "my.py is not valid Python: ", "my.py:1", ""),
        ("peft", "x = 1", {}, "my.py has no function apply", "my.py", "write def apply(model, new_modules): for"),
        ("peft", "def aply(model, new): ...", {}, "my.py has no function apply (did you mean 'aply'?)", "my.py", ""),
        ("peft", "async def apply(model, new): ...", {}, "my.py has no function apply", "my.py", ""),
        ("embedding", GOOD, {}, "my.py has no function vectors", "my.py", "write def vectors(tokens, dimension): for"),
        (
            "task",
            GOOD,
            {"a": 1},
            "my.py has no function work",
            "my.py",
            "write def work(task, reader, a=…): for",
        ),
        (
            *("peft", "\ndef apply(model): ...", {}),
            *("apply in my.py takes model, and is called as apply(model, new_modules)", "my.py:2"),
            "write def apply(model, new_modules):",
        ),
        (
            "task",
            "def work(): ...",
            {},
            "work in my.py takes nothing, and is called as work(task",
            "my.py:1",
            "",
        ),
        ("peft", GOOD, {"rnk": 8}, "apply in my.py takes no option 'rnk'", "my.py:2", "did you mean 'rank'?"),
        ("peft", GOOD, {"model": 8}, "apply in my.py takes no option 'model'", "my.py:2", "known: rank, scale"),
        (
            *("peft", "def apply(model, new, **more): ...", {"new": 1}),
            *("apply in my.py takes no option 'new'", "my.py:1", "leave it out"),
        ),
        (
            *("embedding", "def vectors(tokens, dimension, seed, *, size): ...", {"size": 1}),
            *("vectors in my.py needs the option 'seed'", "my.py:1", "write options={'seed': …}, or give it a default"),
        ),
        ("peft", "def apply(model, new, *, size): ...", {}, "apply in my.py needs the option 'size'", "my.py:1", ""),
        (
            *("peft", APPLY + "def penalty(): ...", {}),
            *(
                "penalty in my.py takes nothing, and is called as penalty(model)",
                "my.py:2",
                "write def penalty(model):",
            ),
        ),
        (
            *("peft", APPLY + "def after_step(model): ...", {}),
            *("after_step in my.py takes model, and is called as after_step(model, step)", "my.py:2"),
            "write def after_step(model, step):",
        ),
        (
            *("peft", APPLY + "def penalty(model): ...", {"rank": 1}),
            *("penalty in my.py takes no option 'rank'", "my.py:2", "add **options: it is given them all"),
        ),
        (
            *("peft", APPLY + "from torch import relu as penalty", {}),
            *("penalty in my.py is not written as a function", "my.py:2", "write def penalty(model):, or give it"),
        ),
        (
            *("peft", APPLY + "if True:\n    def after_step(model, step): ...", {}),
            *("after_step in my.py is not written as a function", "my.py:3", "write def after_step(model, step):, or"),
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_a_sentence(
    resolved, tmp_path, name, text, options, what, where, do
) -> None:
    with pytest.raises(RecipeError) as caught:
        resolved(text, name, **options)
    (problem,) = caught.value.problems
    assert problem.what.startswith(what.format(folder=tmp_path))
    assert problem.where == f"{tmp_path}/{where}"
    assert problem.do.startswith(do)


@pytest.mark.parametrize("file", ["/etc/my.py", "../my.py", "below/../../my.py", "my.txt", "recipe.py", ""])
def test_a_path_that_could_not_travel_is_refused(make, tmp_path, file) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve(make(peft=CustomMethod(file=file)), tmp_path / "mine.py", "", {})
    assert caught.value.problems == [
        Problem(
            f"{file} cannot be a custom file",
            f"{tmp_path}/mine.py:1",
            "put a Python file beside the recipe, or below its folder, and give its path from there",
        )
    ]


def test_a_file_below_the_recipes_folder(resolved) -> None:
    assert resolved(GOOD, file="parts/my.py").recipe.peft.source == GOOD


def test_all_problems_of_all_files_are_told_together(make, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text("def apply(model, new, needed): ...")
    recipe = make(peft=CustomMethod(file="my.py", options={"other": 1}), task=CustomTask(file="nothing.py"))
    with pytest.raises(RecipeError) as caught:
        resolve(recipe, tmp_path / "mine.py", "", {})
    assert len(caught.value.problems) == 3


def test_a_custom_task_is_selected_by_what_it_says_or_by_what_it_is_like(make, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text("def work(task, reader): ...")
    for metrics, selected in ((None, "accuracy"), ({"errors": "min"}, "errors")):
        task = CustomTask(file="my.py", like=TextClassification(), metrics=metrics)
        assert resolve(make(task=task), tmp_path / "mine.py", "", {}).recipe.training.select_by == selected
