"""A split lies in memory once for all ranks of a machine, whatever asks for it; what is damaged is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from launcher.errors import DataError
from launcher.training.batches.split import Split, occurrences


def test_four_processes_hold_a_split_once() -> None:
    """Four real ranks read every row of 40 MB; the kernel shares out the pages. A copy for each would be 160 MB."""
    script = Path(__file__).parents[3] / "benchmarks" / "split_memory.py"
    done = subprocess.run([sys.executable, script, "--megabytes", "40"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert 0.9 < told["of_these_the_file"] / told["split_bytes"] < 1.1
    assert told["held_bytes"] < 2.7 * told["split_bytes"]


def split() -> Split:
    return Split(
        {
            "input_ids": np.arange(12, dtype=np.int32),
            "offsets": np.array([0, 5, 5, 12]),
            "labels": np.array([1, 0, 1]),
            "targets": np.ones(3, dtype=np.int64),
            "flags": np.array([True, False]),
            "none": np.zeros((0, 3), dtype=np.float32),
        }
    )


def test_what_is_mapped_is_what_was_saved_and_cannot_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "train.safetensors"
    split().save(path)
    found = Split.load(path)
    assert found.columns.keys() == split().columns.keys()
    for name, values in split().columns.items():
        assert (found.columns[name] == values).all() and found.columns[name].dtype == values.dtype
    with pytest.raises(ValueError, match="read-only"):
        found.columns["labels"][0] = 5
    assert occurrences(found.columns["input_ids"], 13).tolist() == [1] * 12 + [0]


def test_a_damaged_split_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "train.safetensors"
    split().save(path)
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = whole[8 : 8 + size]
    damaged = [
        b"",
        whole[:5],
        whole[:-1],
        (2**62).to_bytes(8, "little") + whole[8:],
        whole[:8] + header.replace(b'"I32"', b'"I33"') + whole[8 + size :],
        whole[:8] + header.replace(b'"shape":[12]', b'"shape":[99]') + whole[8 + size :],
        whole[:8] + b"[" * size + whole[8 + size :],
    ]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"prepared data is damaged: .*\n.*train\.safetensors"):
            Split.load(path)


def test_columns_that_some_rows_lack_are_refused_but_for_token_types() -> None:
    one = {"input_ids": np.arange(3, dtype=np.int32), "offsets": np.array([0, 3])}
    two = {**one, "token_types": np.ones(3, dtype=np.uint8)}
    assert Split.joined([one, two]).columns["token_types"].tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(DataError, match="a column 'scores' for some rows and none for others"):
        Split.joined([one, {**one, "scores": np.ones(1)}])
