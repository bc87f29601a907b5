"""Kills at random moments over every process of a run: `storm.py` has the story, `make chaos` more of them."""

from __future__ import annotations

import random
from pathlib import Path

from storm import storm

KILLS = 10
"""`make chaos` has 200."""


def test_a_storm_of_kills_is_survived_to_the_bit(tmp_path: Path, cache: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}: repeat it by `python tests/faults/storm.py {KILLS} --seed {seed}`")
    kills = storm(tmp_path, cache, KILLS, seed)
    assert len(kills) == KILLS
    assert sum(kill.orphans for kill in kills) == 0, kills
