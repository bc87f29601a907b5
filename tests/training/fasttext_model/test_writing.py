"""What is written is what the official library writes, byte for byte; and what does not fit together is not written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from official_models import FORMS

from launcher.training.fasttext.model_file import FastTextFile
from launcher.training.fasttext.settings import Settings
from launcher.training.fasttext.writing import write_model


@pytest.mark.parametrize("name", FORMS)
def test_a_model_read_and_written_is_the_same_file(models: dict[str, Path], tmp_path: Path, name: str) -> None:
    model = FastTextFile.open(models[name])
    rows = np.array_split(np.arange(model.input.shape[0]), 3)
    output = model.output.rows(np.arange(model.output.shape[0]))
    parts: Any = (model.words, model.counts.tolist(), model.labels, model.label_counts.tolist())
    write_model(tmp_path / "ours.bin", model.settings, *parts, (model.input.rows(block) for block in rows), output)
    assert (tmp_path / "ours.bin").read_bytes() == models[name].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["ours.bin"]


GIVEN: dict[str, Any] = {
    "settings": Settings(dimension=2, buckets=3, shortest_subword=1, longest_subword=2),
    "words": ["好", "film"],
    "word_counts": [2, 1],
    "labels": ["__label__a"],
    "label_counts": [2],
    "input_rows": [np.zeros((2, 2)), np.ones((3, 2))],
    "output": np.ones((1, 2)),
}


def test_the_library_loads_a_model_that_it_never_trained(tmp_path: Path) -> None:
    import fasttext

    write_model(tmp_path / "new.bin", **GIVEN)
    official = fasttext.load_model(str(tmp_path / "new.bin"))
    assert (official.get_words(), official.get_labels()) == (["好", "film"], ["__label__a"])
    assert official.get_input_matrix().tolist() == [[0, 0], [0, 0], [1, 1], [1, 1], [1, 1]]
    assert official.get_input_matrix().dtype == np.float32 and official.predict("好 film")[0] == ("__label__a",)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"input_rows": [np.zeros((4, 2))]}, "4 rows of the input matrix, where 5 are needed"),
        ({"input_rows": [np.zeros((5, 3))]}, r"where \(2,\) is needed"),
        ({"output": np.ones((2, 2))}, r"where \(1, 2\) is needed"),
        ({"words": ["a\0", "b"]}, "the character that ends a word"),
        ({"word_counts": [1]}, "zip"),
    ],
)
def test_what_does_not_fit_together_leaves_no_file(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        write_model(tmp_path / "wrong.bin", **{**GIVEN, **wrong})
    assert not list(tmp_path.iterdir())
