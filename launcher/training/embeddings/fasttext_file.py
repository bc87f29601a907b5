"""The official `.bin` format of fastText, walked from end to end before the C++ library may load it.

The library trusts what it reads: a cut or foreign file makes it crash or give garbage. Layout: header,
dictionary (NUL-ended words), input matrix, output matrix, as `FastText::saveModel` writes them (0.9.2).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from launcher.errors import DataError, Problem

MAGIC = 793712314
VERSIONS = (11, 12)
_ARGUMENTS = struct.Struct("<12id")  # dim ws epoch minCount neg wordNgrams loss model bucket minn maxn rate, t
_DICTIONARY = struct.Struct("<iiiqq")  # entries, words, labels, tokens, pruned
_MATRIX = struct.Struct("<?qq")  # quantised, rows, columns


def check_bin(path: Path) -> None:
    """Raise DataError unless `path` is a whole, unquantised fastText model (supervised ones are fine too)."""
    if path.suffix == ".vec":
        do = "write WordVectors(file=…) for it, or give the `.bin` of the same model"
        raise DataError(Problem(f"{path.name} holds text vectors, not a fastText model", str(path), do))
    if path.suffix == ".ftz":
        what = f"{path.name}: quantised models are not read"
        raise DataError(Problem(what, str(path), "give the `.bin` of the same model"))
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            complaint = _complaint(data)
    except (OSError, ValueError) as error:
        complaint = f"it cannot be read ({error})"
    except struct.error:
        complaint = "it ends in the middle"
    if complaint:
        do = "download or train it again; it must be the `.bin` that fastText's save_model writes"
        raise DataError(Problem(f"{path.name} is no usable fastText model: {complaint}", str(path), do))


def _complaint(data: mmap.mmap) -> str | None:
    magic, version = struct.unpack_from("<ii", data)
    if magic != MAGIC:
        return "its first bytes are not fastText's"
    if version not in VERSIONS:
        return f"its format has version {version}, known are {VERSIONS[0]} and {VERSIONS[1]}"
    arguments = _ARGUMENTS.unpack_from(data, 8)
    dimension, bucket, longest = arguments[0], arguments[8], arguments[10]
    place = 8 + _ARGUMENTS.size
    entries, words, labels, _, pruned = _DICTIONARY.unpack_from(data, place)
    if dimension < 1 or min(bucket, words, labels) < 0 or entries != words + labels:
        return "its header holds impossible numbers"
    place += _DICTIONARY.size
    for _ in range(entries):
        end = data.find(b"\0", place)
        if end < 0:
            return "it ends in the middle"
        place = end + 1 + 9  # count (int64) and kind (int8)
    place += 8 * max(pruned, 0)
    needed = (words + (bucket if longest > 0 else 0), 0)
    for rows_needed in needed:
        quantised, rows, columns = _MATRIX.unpack_from(data, place)
        if quantised:
            return "it is quantised; give the `.bin` of the same model"
        if columns != dimension or rows < rows_needed:
            return "its matrices do not fit its dictionary"
        place += _MATRIX.size + 4 * rows * columns
    return None if place == len(data) else f"it has {len(data):,} bytes and should have {place:,}"
