"""Arrays of a safetensors file as views of its bytes: all processes of a machine share one copy, the page cache's.

The library's own `load_file` copies every array into the process that asks. What the header says is held against the
file before an array is made of it. numpy only.
"""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np

from launcher.errors import DataError, Problem

TYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
LONGEST_HEADER = 2**20


def mapped_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file by name; they cannot be written to. Raises DataError for a damaged file."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        size = int.from_bytes(data[:8], "little")
        if size > min(LONGEST_HEADER, len(data) - 8):
            raise ValueError(f"its header of {size:,} bytes is longer than it can be")
        header = json.loads(data[8 : 8 + size])
        return {name: _view(data, 8 + size, about) for name, about in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        do = "take that folder away: it is made again by the next run"
        raise DataError(Problem(f"prepared data is damaged: {error}", str(path), do)) from None


def _view(data: mmap.mmap, start: int, about: dict[str, Any]) -> np.ndarray:
    kind, shape = np.dtype(TYPES[about["dtype"]]), tuple(map(int, about["shape"]))
    begin, end = about["data_offsets"]
    count = 1
    for side in shape:
        count *= side
    if not 0 <= begin <= end <= len(data) - start or end - begin != count * kind.itemsize:
        raise ValueError(f"an array of shape {list(shape)} does not fit its bytes")
    if not count:
        return np.zeros(shape, kind)
    return np.frombuffer(data, kind, count, start + begin).reshape(shape)
