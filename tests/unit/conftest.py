"""What the unit tests build on. Nothing here or below imports more than the light wing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher import Full, Pretrained, Recipe, Table, TextClassification, Training
from launcher.recipe.recipe import LoadedRecipe, load

SOURCE = '''"""A recipe of the tests."""

from launcher import LoRA, Pretrained, Recipe, Table, TextClassification, Training

recipe = Recipe(
    task=TextClassification(),
    data=Table(train="train.csv"),
    embedding=Pretrained(model="a/model"),
    peft=LoRA(
        rank=4,
    ),
    training=Training(epochs=2, batch_size=16),
)
'''


@pytest.fixture
def source() -> str:
    """The text of a small recipe that is right."""
    return SOURCE


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a recipe module into this test's folder."""

    def write_recipe(text: str = SOURCE, name: str = "mine.py") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    yield write_recipe
    for name in [name for name in sys.modules if name.startswith("recipe_")]:
        del sys.modules[name]


@pytest.fixture
def loaded(write: Callable[..., Path]) -> LoadedRecipe:
    """The small recipe, loaded from its file."""
    return load(write())


@pytest.fixture
def make() -> Callable[..., Recipe]:
    """Build a recipe value; what is not given is the simplest."""

    def make_recipe(**nouns: object) -> Recipe:
        usual = {
            "task": TextClassification(),
            "data": Table(train="train.csv"),
            "embedding": Pretrained(model="a/model"),
            "peft": Full(),
            "training": Training(),
        }
        return Recipe(**{**usual, **nouns})

    return make_recipe
