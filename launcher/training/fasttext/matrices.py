"""The two matrices of a fastText file, read a few rows at a time out of the mapped file. numpy only.

A row begins at any byte, so what is mapped are bytes: numpy would copy a whole matrix of numbers that are not aligned.
"""

from __future__ import annotations

import mmap
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from launcher.training.batches.split import Ragged
from launcher.training.fasttext.settings import Unusable

_SIDES = struct.Struct("<qq")
_CODES = struct.Struct("<?qqi")  # whether norms are apart, rows, columns, bytes of codes
_QUANTISER = struct.Struct("<iiii")  # columns, parts, columns of a part, columns of the last part
_CENTROIDS = 256
_ROWS = 512
"""Rows that are summed together, so that they stay in the processor's cache."""
_FEW, _THREADS = 16, 4
"""Blocks from which on threads share them, and how many threads at most."""


class Matrix(Protocol):
    """Rows of float32."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """These rows, a copy, float32 [numbers, columns]."""


@dataclass(frozen=True)
class Dense:
    """A matrix as it was trained."""

    data: np.ndarray
    """uint8 [rows, 4 x columns]"""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.data.shape[0], self.data.shape[1] // 4

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """These rows, a copy, float32 [numbers, columns]."""
        return self.data.take(numbers, axis=0).view("<f4")


@dataclass(frozen=True)
class Quantised:
    """A matrix of which each row is a code for each part of its columns (Joulin et al. 2016, "FastText.zip")."""

    codes: np.ndarray
    """uint8 [rows, parts]"""
    centroids: np.ndarray
    """float32 [parts - 1, 256, columns of a part]"""
    last: np.ndarray
    """float32 [256, columns of the last part]"""
    norms: np.ndarray | None
    """float32 [rows] where they were taken out of the rows before."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return len(self.codes), len(self.centroids) * self.centroids.shape[2] + self.last.shape[1]

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """These rows, decoded, float32 [numbers, columns]."""
        codes = self.codes[numbers]
        parts = self.centroids[np.arange(len(self.centroids)), codes[:, :-1]]
        last = self.last[codes[:, -1]]
        found = np.concatenate([parts.reshape(len(codes), self.shape[1] - last.shape[1]), last], axis=1)
        return found if self.norms is None else found * self.norms[numbers, None]


def sums(matrix: Matrix, rows: Ragged) -> np.ndarray:
    """The sum of the matrix's rows that each row of numbers names, in their order, float32 [rows, columns]."""
    lengths = rows.lengths
    order = np.argsort(-lengths, kind="stable")
    order = order[: np.count_nonzero(lengths)]
    found = np.zeros((len(lengths), matrix.shape[1]), dtype=np.float32)

    def add(start: int) -> None:
        block = order[start : start + _ROWS]
        starts, sizes = rows.offsets[block], lengths[block]
        total = matrix.rows(rows.values[starts])
        # the longest come first, so those that have one more are always the first `count` of them
        more = len(block) - np.searchsorted(sizes[::-1], np.arange(1, sizes[0]), side="right")
        for place, count in enumerate(more.tolist(), 1):
            total[:count] += matrix.rows(rows.values[starts[:count] + place])
        found[block] = total

    blocks = range(0, len(order), _ROWS)
    if len(blocks) < _FEW:
        for start in blocks:
            add(start)
    else:  # numpy lets other threads run while it takes and adds rows; each block is the work of one
        with ThreadPoolExecutor(min(_THREADS, len(os.sched_getaffinity(0)))) as threads:
            list(threads.map(add, blocks))
    return found


def read_matrices(data: mmap.mmap, position: int, wanted: tuple[int, int, int]) -> tuple[Matrix, Matrix]:
    """The input and the output matrix, which begin at `position` and end with the file.

    `wanted`: the least rows of the input matrix, those of the output matrix, and the columns of both. Raises Unusable
    where they are others, or do not fit the file.
    """
    inputs, outputs, columns = wanted
    quantised, position = _flag(data, position), position + 1
    given, position = _read(data, position, quantised, "input", columns)
    # an output matrix is quantised only beside an input matrix that is (FastText::loadModel)
    both, position = _flag(data, position) and quantised, position + 1
    taken, position = _read(data, position, both, "output", columns)
    for name, matrix, needed in (("input", given, inputs), ("output", taken, outputs)):
        if matrix.shape[0] < needed:
            what = f"its {name} matrix is {matrix.shape[0]:,} x {columns:,}, and {needed:,} x {columns:,} are needed"
            raise Unusable(what)
    if position != len(data):
        raise Unusable(f"it has {len(data):,} bytes and should have {position:,}")
    return given, taken


def _flag(data: mmap.mmap, position: int) -> bool:
    if position >= len(data):
        raise Unusable("it ends in the middle")
    if data[position] > 1:
        raise Unusable(f"it says {data[position]} where a matrix is quantised (1) or not (0)")
    return bool(data[position])


def _read(data: mmap.mmap, position: int, quantised: bool, name: str, columns: int) -> tuple[Matrix, int]:
    return (_read_quantised if quantised else _read_dense)(data, position, name, columns)


def _read_dense(data: mmap.mmap, position: int, name: str, columns: int) -> tuple[Matrix, int]:
    if position + _SIDES.size > len(data):
        raise Unusable("it ends in the middle")
    rows, held = _SIDES.unpack_from(data, position)
    _check_columns(name, rows, held, columns)
    content, position = _array(data, position + _SIDES.size, 4 * rows * columns, name, rows, columns)
    return Dense(content.reshape(rows, 4 * columns)), position


def _read_quantised(data: mmap.mmap, position: int, name: str, columns: int) -> tuple[Matrix, int]:
    if position + _CODES.size > len(data):
        raise Unusable("it ends in the middle")
    has_norms, (_, rows, held, size) = _flag(data, position), _CODES.unpack_from(data, position)
    _check_columns(name, rows, held, columns)
    position += _CODES.size
    codes, position = _array(data, position, size if size >= 0 else len(data), name, rows, columns)
    centroids, last, position = _read_quantiser(data, position, name, columns)
    if size != rows * (len(centroids) + 1):
        raise Unusable(f"its {name} matrix has {size:,} bytes of codes for {rows:,} rows of {len(centroids) + 1:,}")
    norms = None
    if has_norms:
        places, position = _array(data, position, rows, name, rows, columns)
        _, values, position = _read_quantiser(data, position, f"{name} norms'", 1)
        norms = values[places, 0]
    return Quantised(codes.reshape(rows, len(centroids) + 1), centroids, last, norms), position


def _read_quantiser(data: mmap.mmap, position: int, name: str, columns: int) -> tuple[np.ndarray, np.ndarray, int]:
    if position + _QUANTISER.size > len(data):
        raise Unusable("it ends in the middle")
    held, parts, width, last = _QUANTISER.unpack_from(data, position)
    fits = held == columns and width > 0 and 0 < last <= width and (parts - 1) * width + last == columns
    if not fits:
        what = f"{held:,} columns in {parts:,} parts of {width:,} and a last one of {last:,}"
        raise Unusable(f"its {name} matrix says {what}, and {columns:,} columns are needed")
    position += _QUANTISER.size
    content, position = _array(data, position, 4 * _CENTROIDS * columns, name, _CENTROIDS, columns)
    numbers = content.copy().view("<f4")
    border = (parts - 1) * _CENTROIDS * width
    centroids = numbers[:border].reshape(parts - 1, _CENTROIDS, width)
    return centroids, numbers[border:].reshape(_CENTROIDS, last), position


def _check_columns(name: str, rows: int, held: int, columns: int) -> None:
    if held != columns or rows < 0:
        raise Unusable(f"its {name} matrix is {rows:,} x {held:,}, and its header says dim = {columns:,}")


def _array(data: mmap.mmap, position: int, size: int, name: str, rows: int, columns: int) -> tuple[np.ndarray, int]:
    """So many bytes of the file, and where they end."""
    if position + size > len(data):
        raise Unusable(f"it ends in the middle of its {name} matrix of {rows:,} x {columns:,}")
    return np.frombuffer(data, np.uint8, size, position) if size else np.zeros(0, np.uint8), position + size
