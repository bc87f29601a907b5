"""A split lies in memory once for all ranks of a machine, whatever asks for it; what is damaged is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from at_work import same, split_of
from safetensors.numpy import load_file

from launcher.errors import DataError
from launcher.training.batches import split_file
from launcher.training.batches.split import Ragged, Split, occurrences


def test_four_processes_hold_a_split_once() -> None:
    """Four real ranks read every row of 40 MB; the kernel shares out the pages. A copy for each would be 160 MB."""
    script = Path(__file__).parents[3] / "benchmarks" / "split_memory.py"
    done = subprocess.run([sys.executable, script, "--megabytes", "40"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert 0.9 < told["of_these_the_file"] / told["split_bytes"] < 1.1
    assert told["held_bytes"] < 2.7 * told["split_bytes"]


def split() -> Split:
    """Four rows, of three examples."""
    columns = {
        "input_ids": Ragged(np.arange(12, dtype=np.int32), np.array([0, 5, 5, 7, 12])),
        "labels": np.array([1, 0, 1, 0]),
        "flags": np.array([[True], [False], [True], [True]]),
        "none": np.zeros((4, 0), dtype=np.float32),
    }
    targets = {"loss": np.ones(4, dtype=np.int64), "order": np.array([1, 0, 1, 1])}
    return Split(columns, targets, np.array([5, 0, 2, 5]), np.array([0, 1, 1, 2]))


def test_what_is_mapped_is_what_was_saved_and_cannot_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "train.safetensors"
    split_file.write([split()], path)
    found = Split.load(path)
    assert found.columns.keys() == split().columns.keys() and found.targets.keys() == split().targets.keys()
    assert all(same(found.columns[name], values) for name, values in split().columns.items())
    assert all(same(found.targets[name], values) for name, values in split().targets.items())
    assert same(found.cost, split().cost) and same(found.example, split().example)
    with pytest.raises(ValueError, match="read-only"):
        found.array("labels")[0] = 5
    assert occurrences(found.token_ids, 13).tolist() == [1] * 12 + [0]


def test_one_example_may_be_several_rows() -> None:
    assert (split().rows, split().examples) == (4, 3)
    assert [split().rows_of(example).tolist() for example in range(3)] == [[0], [1, 2], [3]]
    twice = Split.joined([split(), split()])
    assert twice.example.tolist() == [0, 1, 1, 2, 3, 4, 4, 5]
    assert twice.ragged("input_ids").offsets.tolist() == [0, 5, 5, 7, 12, 17, 17, 19, 24]
    assert twice.targets["order"].tolist() == [1, 0, 1, 1] * 2


def test_a_damaged_split_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "train.safetensors"
    split_file.write([split()], path)
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


def test_columns_that_some_rows_lack_are_refused() -> None:
    one, two = split_of([[1, 2, 3]]), split_of([[1, 2, 3]], scores=np.ones(1))
    with pytest.raises(DataError, match="a column 'scores' for some rows and none for others"):
        Split.joined([one, two])


def test_offsets_that_lead_out_of_their_column_are_refused(tmp_path: Path) -> None:
    tokens = Ragged(np.arange(3, dtype=np.int32), np.array([0, 4]))
    path = tmp_path / "train.safetensors"
    split_file.write([Split({"input_ids": tokens}, {"loss": np.ones(1, np.int64)}, np.array([3]), np.array([0]))], path)
    with pytest.raises(DataError, match="offsets do not fit the values they are of"):
        Split.load(path)


def test_parts_are_written_as_one_and_the_library_reads_them(tmp_path: Path) -> None:
    """Images go to disk with their part: 11 of 3 x 5 x 3 bytes, after which nothing would begin at an even address."""
    canvas = np.random.default_rng(0).integers(0, 256, (11, 3, 5, 3), dtype=np.uint8)
    cuts = [slice(0, 4), slice(4, 4), slice(4, 11)]
    parts = [split_of([[n + 2] * n for n in range(11)[cut]], canvas=canvas[cut]) for cut in cuts]
    split_file.write(iter(parts), tmp_path / "a")
    found, whole = Split.load(tmp_path / "a"), Split.joined(parts)
    read = load_file(tmp_path / "a")
    assert same(read["columns/canvas"], canvas) and found.array("canvas").dtype == np.uint8
    assert found.columns.keys() == whole.columns.keys()
    assert all(same(found.columns[name], column) for name, column in whole.columns.items())
    assert found.example.tolist() == list(range(11)) and found.cost.flags.aligned and found.example.flags.aligned
    for other in (canvas[:, :2], canvas.astype(np.int16)):
        with pytest.raises(DataError, match="the rows of 'canvas' differ in type or shape"):
            split_file.write([parts[0], split_of([[3]], canvas=other[:1])], tmp_path / "b")
    with pytest.raises(DataError, match="a column 'canvas' for some rows and none for others"):
        split_file.write([parts[0], split_of([[3]])], tmp_path / "b")
    with pytest.raises(DataError, match="'names' has values of the type <U1"):
        split_file.write([split_of([[3]], names=np.array(["a"]))], tmp_path / "b")
