"""The official `.bin` format of fastText, walked from end to end before the C++ library may load it.

The library trusts what it reads: a cut or foreign file makes it crash or give garbage, and so does a number that does
not fit the others (it divides by the buckets where there are subwords). So every field that it uses is first checked
against its bounds and against the others. Layout: header, dictionary (NUL-ended words), input matrix, output matrix,
as `FastText::saveModel` writes them (0.9.2).
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
_ENTRY = struct.Struct("<qb")  # count, kind: 0 for a word, 1 for a label
_SUPERVISED = 3
_BOUNDS = {
    "dim": (0, 1, 100_000),
    "wordNgrams": (5, 0, 1_000),
    "loss": (6, 1, 4),
    "model": (7, 1, _SUPERVISED),
    "bucket": (8, 0, 2**31 - 1),
    "minn": (9, 0, 100),
    "maxn": (10, 0, 100),
}
"""Of the arguments that decide how the file is read: position, least and greatest value."""
LONGEST_WORD = 100_000
MOST_TOKENS = 10**15
"""Of all entries together: the library's own end mark where it builds a tree of their counts."""
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
    for name, (position, least, most) in _BOUNDS.items():
        if not least <= arguments[position] <= most:
            return f"its header says {name} = {arguments[position]:,}, which is not from {least:,} to {most:,}"
    dimension, bucket, shortest, longest = (arguments[_BOUNDS[name][0]] for name in ("dim", "bucket", "minn", "maxn"))
    if longest and (not bucket or shortest > longest):
        return f"its header says maxn = {longest:,} with minn = {shortest:,} and bucket = {bucket:,}, which cannot be"
    position = 8 + _ARGUMENTS.size
    entries, words, labels, tokens, pruned = _DICTIONARY.unpack_from(data, position)
    if min(words, labels) < 0 or entries != words + labels:
        return f"its dictionary says {entries:,} entries, {words:,} of them words and {labels:,} labels"
    if tokens < 0:
        return f"its dictionary says {tokens:,} tokens"
    if pruned not in (-1, 0):
        return f"its dictionary says pruneidx_size = {pruned:,}, and a model that is not quantised has -1"
    fault, position = _dictionary_fault(data, position + _DICTIONARY.size, words, labels)
    if fault:
        return fault
    outputs = labels if arguments[_BOUNDS["model"][0]] == _SUPERVISED else words
    for name, needed in (("input", words + (bucket if longest else 0)), ("output", outputs)):
        quantised, rows, columns = _MATRIX.unpack_from(data, position)
        if quantised:
            return "it is quantised; give the `.bin` of the same model"
        if columns != dimension or rows < needed:
            return f"its {name} matrix is {rows:,} x {columns:,}, and {needed:,} x {dimension:,} are needed"
        position += _MATRIX.size + 4 * rows * columns
        if position > len(data):
            return f"it ends in the middle of its {name} matrix of {rows:,} x {columns:,}"
    return None if position == len(data) else f"it has {len(data):,} bytes and should have {position:,}"


def _dictionary_fault(data: mmap.mmap, position: int, words: int, labels: int) -> tuple[str, int]:
    """What is wrong with an entry, or '', and where the dictionary ends."""
    total = 0
    for number in range(words + labels):
        end = data.find(b"\0", position, position + LONGEST_WORD + 1)
        if end < 0:
            cut = position + LONGEST_WORD >= len(data)
            return ("it ends in the middle" if cut else f"entry {number + 1:,} of its dictionary has no end"), position
        count, kind = _ENTRY.unpack_from(data, end + 1)
        total += count
        if kind != (number >= words) or count < 0 or total > MOST_TOKENS:
            return f"entry {number + 1:,} of its dictionary says count = {count:,}, kind = {kind}", position
        position = end + 1 + _ENTRY.size
    return "", position
