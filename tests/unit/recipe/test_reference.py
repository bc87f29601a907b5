"""What `help()` and `launcher help` say of every noun: our words, each field with kind, default and meaning."""

from __future__ import annotations

import inspect
import pydoc

import pytest
from typer.testing import CliRunner

import launcher
from launcher.cli.app import app
from launcher.errors import RecipeError
from launcher.recipe.noun import NOUNS, field_names
from launcher.recipe.reference import meanings, reference

PUBLIC = [noun for noun in NOUNS if noun.__name__ in launcher.__all__]


@pytest.mark.parametrize("noun", PUBLIC, ids=lambda noun: noun.__name__)
def test_help_shows_every_field_and_nothing_of_pydantic(noun: type) -> None:
    told = pydoc.plain(pydoc.render_doc(noun))
    for name in field_names(noun):
        assert name == "source" or f"{name}: " in told
        assert name == "source" or meanings(noun).get(name), f"write a string below {noun.__name__}.{name}"
    for part in ("pydantic", "__dataclass", "FieldInfo", "positional", "Annotated", "<function", " at 0x"):
        assert part not in told
    assert len(told) > 100


def test_bounds_defaults_and_places_are_told() -> None:
    told = reference(launcher.Table)
    for part in (
        "train: str or tuple of str, required\n",
        "label: str (default 'label')\n      Column of the label; for token classification the column of the tag list.",
        "validation_size: int at least 1 or float above 0 and below 1 (default 0.1)\n",
        "duplicates: 'keep' or 'drop' (default 'keep')\n",
        "hub:nyu-mll/glue/sst2#train ",
    ):
        assert part in told
    assert "optimizer: 'adamw' or 'sgd' or 'adafactor' (default 'adamw')" in reference(launcher.Training)
    encoders = "MeanPooling or BiLSTM or TextCNN or Transformer (default BiLSTM())"
    assert f"encoder: {encoders}" in " ".join(reference(launcher.FastText).split())
    assert "data: Table or Columns or LabelledFiles" in reference(launcher.Recipe)
    assert "hub:" not in reference(launcher.Training)


def test_the_signature_is_what_is_written() -> None:
    assert str(inspect.signature(launcher.LoRA)) == (
        "(*, dora=False, start='zero', also_train=(), targets=None, rank=8, alpha=16, dropout=0.0, rslora=False)"
    )
    assert list(inspect.signature(launcher.Recipe).parameters) == ["task", "data", "embedding", "peft", "training"]


def test_the_command_says_the_same_and_what_was_meant() -> None:
    told = CliRunner().invoke(app, ["help", "table"])
    assert told.output == f"Table: {reference(launcher.Table)}\n"
    listed = CliRunner().invoke(app, ["help"]).output
    assert [noun.__name__ for noun in PUBLIC if f"\n{noun.__name__} " not in f"\n{listed}"] == []
    wrong = CliRunner().invoke(app, ["help", "Lora2"])
    assert isinstance(wrong.exception, RecipeError) and "did you mean 'LoRA'?" in str(wrong.exception)
