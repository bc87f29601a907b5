"""Comparing text with a stored file; `UPDATE_GOLDEN=1 pytest tests/golden` writes the files anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

STORED = Path(__file__).parent / "stored"


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare with tests/golden/stored/NAME."""

    def compare(name: str, text: str) -> None:
        path = STORED / name
        if os.environ.get("UPDATE_GOLDEN") == "1":
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing: write it with UPDATE_GOLDEN=1"
        assert text == path.read_text(encoding="utf-8"), "if this change is meant: UPDATE_GOLDEN=1 pytest tests/golden"

    return compare
