"""A split on disk, written part by part: what is large of it is never in memory as a whole. numpy only.

The file is a safetensors file, which `Split.load` maps. A column whose rows are arrays, as those of images are, goes to
disk with each part; all else takes some bytes a row, and follows when the last part is there. The header stands first
and is known last: room is kept for it, which the format lets be filled up with spaces.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from launcher.errors import DataError, Problem
from launcher.training.batches.mapped import TYPES
from launcher.training.batches.split import Ragged, Split, lacking

NAMES = {np.dtype(kind): name for name, kind in TYPES.items()}
FILLING = "filling"
ALIGNED = 8
"""Bytes of the widest type: an array is used as it is mapped where it begins at a multiple of them."""
ROOM = 300
"""Bytes of the header for one array, its name left out: its type, its shape, and where it begins and ends."""


def write(parts: Iterable[Split], path: Path) -> None:
    """Write the rows of all parts, at least one, as one split; each before the next is asked for.

    Raises DataError where parts have other columns than the first.
    """
    kept: list[Split] = []
    with path.open("wb") as file:
        for part in parts:
            if not kept:
                large = next((name for name, column in part.columns.items() if _of_arrays(column)), None)
                arrays = _Arrays(file, sum(ROOM + len(json.dumps(name)) for name in (*part.arrays(), FILLING)))
            if large is not None and large in part.columns:
                arrays.put(f"columns/{large}", part.array(large))
                part = replace(part, columns={name: part.columns[name] for name in part.columns if name != large})
            elif large is not None:
                raise lacking(large)
            kept.append(part)
        rest = Split.joined(kept).arrays()
        arrays.align()
        for name in sorted(rest, key=lambda name: -rest[name].itemsize):
            arrays.put(name, rest[name])
        arrays.finish()


def _of_arrays(column: np.ndarray | Ragged) -> bool:
    return not isinstance(column, Ragged) and column.ndim > 1


class _Arrays:
    """Arrays one behind the other, each in as many pieces as it comes in."""

    def __init__(self, file: BinaryIO, room: int):
        self.file, self.room, self.end = file, -(-(room + 8) // ALIGNED) * ALIGNED, 0
        self.about: dict[str, dict[str, Any]] = {}
        file.seek(self.room)

    def put(self, name: str, piece: np.ndarray) -> None:
        """Write more rows of an array; all of it comes before the next one."""
        if piece.dtype not in NAMES:
            what = f"encode() of the task: {name.partition('/')[2]!r} has values of the type {piece.dtype}"
            raise DataError(Problem(what, do="give numbers"))
        kind = {"dtype": NAMES[piece.dtype], "shape": [0, *piece.shape[1:]], "data_offsets": [self.end, self.end]}
        about = self.about.setdefault(name, kind)
        if (about["dtype"], about["shape"][1:]) != (kind["dtype"], kind["shape"][1:]):
            what = f"encode() of the task: the rows of {name.partition('/')[2]!r} differ in type or shape"
            raise DataError(Problem(what, do="give rows of one shape and type, whichever they are"))
        self.file.write(np.ascontiguousarray(piece).data)
        self.end += piece.nbytes
        about["shape"][0] += len(piece)
        about["data_offsets"][1] = self.end

    def align(self) -> None:
        """Fill up to where any type may begin: the format allows no holes."""
        if self.end % ALIGNED:
            self.put(FILLING, np.zeros(ALIGNED - self.end % ALIGNED, np.uint8))

    def finish(self) -> None:
        """Write the header."""
        header = json.dumps(self.about, separators=(",", ":")).encode().ljust(self.room - 8)
        assert len(header) == self.room - 8, "ROOM is too little"
        self.file.seek(0)
        self.file.write(len(header).to_bytes(8, "little") + header)
