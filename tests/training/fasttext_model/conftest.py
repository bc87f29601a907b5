"""The models of `official_models`, trained once a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from official_models import FORMS, QUANTISED, TRAINING, drawn_lines, label_of

from launcher.training.fasttext.model_file import FastTextFile


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every form, as a file."""
    import fasttext

    folder = tmp_path_factory.mktemp("official")
    lines = drawn_lines(1500)
    labelled = [f"__label__{label_of(line)} {line}" for line in lines]
    (folder / "text").write_text("\n".join(["__label__7 film", *lines] * 2))
    (folder / "labelled").write_text("\n".join([*labelled, *(f"__label__{n} word{n}" for n in range(300))]))
    found = {}
    for name, settings in FORMS.items():
        if "model" in settings:
            # no word begins with it: `__label__` is a word
            model = fasttext.train_unsupervised(str(folder / "text"), **TRAINING, label="\n", **settings)
        else:
            model = fasttext.train_supervised(str(folder / "labelled"), **TRAINING, lr=1.0, **settings)
        found[name] = folder / f"{name}.bin"
        model.save_model(str(found[name]))
        if name in QUANTISED:
            model.quantize(input=str(folder / "labelled"), thread=1, verbose=0, **QUANTISED[name])
            found[f"{name}, quantised"] = folder / f"{name}.ftz"
            model.save_model(str(found[f"{name}, quantised"]))
    return found


@pytest.fixture(scope="module")
def pairs(models: dict[str, Path]) -> Any:
    """Of a form's name: our file and the official library's model."""
    import fasttext

    opened: dict[str, tuple[FastTextFile, Any]] = {}

    def pair(name: str) -> tuple[FastTextFile, Any]:
        if name not in opened:
            opened[name] = FastTextFile.open(models[name]), fasttext.load_model(str(models[name]))
        return opened[name]

    return pair
