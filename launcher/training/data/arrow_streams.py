"""One column of Parquet files, of folders of `save_to_disk` and of sets of the hub, value by value from any place on.

What is held in memory is a batch of rows, or what the library reads at a time; never a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from launcher.errors import DataError, Problem
from launcher.training import hub
from launcher.training.data.delimited import positions
from launcher.training.data.locations import HubSplit

BATCH = 256
"""Rows that are made Python values together."""


def parquet_groups(path: Path, name: str, column: str) -> int:
    """The row groups of a Parquet file. Raises DataError where it cannot be read or lacks the column."""
    import pyarrow.parquet

    with _border(name):
        file = pyarrow.parquet.ParquetFile(path)
        positions(list(file.schema_arrow.names), (column,), name)
        return int(file.metadata.num_row_groups)


def parquet_values(path: Path, name: str, column: str, group: int, start: int) -> Iterator[Any]:
    """The values of a row group from row `start` on."""
    import pyarrow.parquet

    with _border(name), pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
        passed = 0
        for batch in file.iter_batches(BATCH, row_groups=[group], columns=[column], use_threads=False):
            if passed + len(batch) > start:
                batch.validate(full=True)
                yield from batch.column(0)[max(0, start - passed) :].to_pylist()
            passed += len(batch)


def saved_rows(path: Path, name: str, column: str) -> int:
    """The rows of a folder that `save_to_disk` wrote, once its column is there."""
    with _border(name):
        saved = _saved(path)
        positions([str(each) for each in saved.column_names], (column,), name)
        return len(saved)


def saved_values(path: Path, name: str, column: str, start: int, stop: int) -> Iterator[Any]:
    """The values of rows [start, stop)."""
    with _border(name):
        saved = _saved(path).select_columns([column]).with_format(None)
        for begin in range(start, stop, BATCH):
            yield from saved[begin : min(stop, begin + BATCH)][column]


def hub_shards(source: HubSplit, name: str, column: str) -> int:
    """The shards of a split of the hub, as the library counts them: its files, as a rule."""
    with _border(name, of_the_hub=True):
        streamed = _hub(source)
        if streamed.column_names is not None:
            positions([str(each) for each in streamed.column_names], (column,), name)
        return int(streamed.num_shards)


def hub_values(source: HubSplit, name: str, column: str, shard: int, start: int) -> Iterator[Any]:
    """The values of one shard from row `start` on; those before it are read and passed over."""
    with _border(name, of_the_hub=True):
        streamed = _hub(source)
        part = streamed.shard(num_shards=streamed.num_shards, index=shard)
        for row in part.skip(start) if start else part:
            if column not in row:
                positions([str(each) for each in row], (column,), name)
            yield row[column]


@lru_cache(maxsize=16)
def _saved(path: Path) -> Any:
    from datasets import load_from_disk

    return load_from_disk(str(path))


@lru_cache(maxsize=16)
def _hub(source: HubSplit) -> Any:
    from datasets import load_dataset

    hub.unreachable()  # checked first: the library would try for a minute
    return load_dataset(source.repository, source.config, split=source.split, streaming=True)


@contextmanager
def _border(name: str, of_the_hub: bool = False) -> Iterator[None]:
    try:
        yield
    except (DataError, GeneratorExit):
        raise
    except ImportError as error:
        raise DataError(Problem(f"{name} needs a package: {error}", do="pip install datasets")) from None
    except Exception as error:  # hub, network, Arrow and file errors share no root
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if of_the_hub:
            raise DataError(
                hub.not_here("the data set cannot be read", name, "--set data.train=FILE", reason)
            ) from error
        raise DataError(Problem(f"the data set cannot be read: {reason}", name)) from error
