"""A tenth of `tests/faults/flips.py`: no bit and no cut of a checkpoint or a saved model goes unseen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from flips import HARMLESS, SEEN, SILENT, TRACEBACK, attacked


@pytest.mark.timeout(900)
def test_no_bit_and_no_cut_goes_unseen(tmp_path: Path) -> None:
    seed = random.SystemRandom().getrandbits(32)
    attack = attacked(tmp_path, seed, flips=300, cuts=30, commands=4)
    told = f"again with --seed {seed} --flips 300 --cuts 30 --commands 4\n{attack.table()}"
    assert attack.count(SILENT) == attack.count(TRACEBACK) == attack.count(HARMLESS) == 0, told
    assert attack.count(SEEN) == 300 + 30 + 4, told
    assert {"checkpoint manifest.json", "whole seal.json", "adapter base/model.safetensors"} <= attack.told.keys(), told
