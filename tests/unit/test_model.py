"""Where a finished run's model lies, and names that the libraries which read it cannot take."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.errors import BackendError
from launcher.model import ABOUT, model_folder


@pytest.mark.parametrize("name", ["中文", "plain"])
def test_a_folder_with_a_name_in_utf8_is_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / ABOUT).write_text("{}", encoding="utf-8")
    assert model_folder(name, tmp_path) == tmp_path / name


def test_a_folder_whose_name_is_no_text_is_refused_with_the_cure(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"run-\xff")
    folder.mkdir()
    (folder / ABOUT).write_text("{}", encoding="utf-8")
    with pytest.raises(BackendError, match="take names in UTF-8 only") as told:
        model_folder(folder)
    (problem,) = told.value.problems
    assert problem.where == ascii(str(folder)) and "\\udcff" in problem.where
    assert problem.do.startswith("export LANG=C.UTF-8 PYTHONUTF8=1")
