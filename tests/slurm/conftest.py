"""The lab of a test session: brought up when the first test needs it, taken down at the session's end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import Lab, why_not
from work import LONG, STEPS, Work

Story = tuple[list[tuple[int, float]], str]


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
def wide(possible: None) -> Iterator[Lab]:
    """Three nodes without GPUs, of which any may be lost: apart, so that no other test meets a dead node."""
    made = Lab(nodes=3, gpus=0)
    yield made
    made.down()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of all tests: keyed by content, so they may share it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def peace(lab: Lab, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Callable[[int], Story]:
    """`peace(2)`: what the long run comes to when it is left in peace, with one process on each of two nodes.

    Of the same layout: two processes of one machine sum their gradients another way. One process needs no job.
    """
    home = Work(lab, tmp_path_factory.mktemp("peace"), cache)

    def story(nodes: int) -> Story:
        name = f"on-{nodes}"
        if not (home.runs / name).exists() and nodes == 1:
            home.launch("run", "tiny.py", "--name", name, "--device", "cpu", "--processes", 1, *LONG)
        elif not (home.runs / name).exists():
            job = home.submit(name, "--nodes", nodes, "--processes-per-node", 1, *LONG)
            assert home.end(name, job)["status"] == "finished", home.log(name)
        assert len(home.story(name)[0]) == STEPS
        return home.story(name)

    return story


@pytest.fixture(scope="session")
def alone(lab: Lab, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> list[float]:
    """The losses of the short run in one process."""
    home = Work(lab, tmp_path_factory.mktemp("alone"), cache)
    home.launch("run", "tiny.py", "--name", "alone", "--device", "cpu")
    assert len(home.losses("alone")) == 21
    return home.losses("alone")


@pytest.fixture
def work(lab: Lab, tmp_path: Path, cache: Path) -> Work:
    """A working directory on the lab's shared disk."""
    return Work(lab, tmp_path, cache)
