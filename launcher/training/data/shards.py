"""What one location is as a part of a stream: its form, and what `stream_source` cuts it by."""

from __future__ import annotations

from typing import assert_never

from launcher.errors import DataError, Problem
from launcher.recipe.language_data import Documents
from launcher.training.data import arrow_streams as arrow
from launcher.training.data.compression import ending_of, is_packed
from launcher.training.data.locations import HubSplit, LocalFile, SavedDataset, resolve
from launcher.training.data.stream_source import ROWS, File, Form

JSON_LINES, TABLES = (".jsonl", ".json"), (".csv", ".tsv")


def look_at(location: str, name: str, documents: Documents, column: str, encoding: str) -> File:
    """What a location is as a part of a stream. Raises DataError for what cannot be streamed.

    The number of shards of a text file depends on all of them (`cut`) and is 0 here.
    """
    resolved = resolve(location)
    match resolved:
        case HubSplit():
            return File(location, name, "hub", 0, arrow.hub_shards(resolved, name, column))
        case SavedDataset():
            rows = arrow.saved_rows(resolved.path, name, column)
            return File(location, name, "saved", rows, -(-rows // ROWS))
        case LocalFile():
            pass
        case _:
            assert_never(resolved)
    about, ending = resolved.path.stat(), ending_of(location)
    if not about.st_size:
        raise DataError(Problem("the file is empty", name))
    if ending in TABLES:
        do = "write it as JSON lines (.jsonl) or Parquet"
        raise DataError(Problem(f"a {ending} file cannot be streamed: a cell may hold line ends", name, do))
    if ending == ".parquet":
        groups = arrow.parquet_groups(resolved.path, name, column)
        return File(location, name, "parquet", about.st_size, groups, changed=about.st_mtime_ns)
    json = ending in JSON_LINES
    if documents == "files" and not json:
        return File(location, name, "file", about.st_size, 1, encoding=encoding, changed=about.st_mtime_ns)
    form: Form = "packed" if is_packed(resolved.path, name) else "bytes"
    return File(location, name, form, about.st_size, int(form == "packed"), json, encoding, about.st_mtime_ns)
