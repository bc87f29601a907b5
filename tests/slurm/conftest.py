"""The lab of a test session: brought up when the first test needs it, taken down at the session's end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Lab, why_not
from work import Work


@pytest.fixture(scope="session")
def possible() -> None:
    """Skip, with the reason, where there can be no lab."""
    reason = why_not()
    if reason:
        pytest.skip(f"no Slurm lab here: {reason}")


@pytest.fixture(scope="session")
def lab(possible: None) -> Iterator[Lab]:
    """Two nodes of two fake GPUs. Each process of a parallel session has its own: labs do not see each other."""
    made = Lab(nodes=2)
    yield made
    made.down()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of all tests: keyed by content, so they may share it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def work(lab: Lab, tmp_path: Path, cache: Path) -> Work:
    """A working directory on the lab's shared disk."""
    return Work(lab, tmp_path, cache)
