"""Scenes for the tests of faults: a fast recipe, a slow one, and what the slow one gives when left in peace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scene import SLOW, Launched, Scene


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of all scenes: keyed by content, so they may share it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def scene(tmp_path: Path, cache: Path) -> Scene:
    """200 rows, one epoch: over in a second of training."""
    return Scene(tmp_path, cache)


@pytest.fixture
def slow(tmp_path: Path, cache: Path) -> Scene:
    """1,600 rows, 240 steps in two epochs with dropout: long enough to be hit in the middle."""
    return Scene(tmp_path, cache, rows=1600, changes=SLOW)


@pytest.fixture
def begin(slow: Scene) -> Iterator[Callable[..., Launched]]:
    """Start runs in the slow scene; none outlives the test."""
    begun: list[Launched] = []

    def start(name: str, *words: object) -> Launched:
        begun.append(slow.start(name, *words))
        return begun[-1]

    yield start
    for launched in begun:
        launched.kill_everything()


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Callable[[int], Path]:
    """`twin(2)`: the folder of the slow recipe's uninterrupted run on two processes."""
    home = Scene(tmp_path_factory.mktemp("twins"), cache, rows=1600, changes=SLOW)

    def uninterrupted(processes: int) -> Path:
        name = f"on-{processes}"
        if not (home.runs / name).exists():
            home.finish(name, "--processes", processes)
        return home.runs / name

    return uninterrupted
