"""Tables that the `datasets` library reads: Parquet files, folders of `save_to_disk`, splits of the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from launcher.errors import DataError, Problem
from launcher.training import hub
from launcher.training.data.delimited import Cells, Wanted, chosen, positions
from launcher.training.data.locations import HubSplit


def parquet_cells(path: Path, name: str, columns: Wanted) -> Iterator[Cells]:
    """The columns of a Parquet file. Raises DataError where it cannot be read or lacks a column."""

    def load() -> Any:
        import pyarrow.parquet
        from datasets import Dataset

        return Dataset(pyarrow.parquet.read_table(path))

    return _cells(load, name, columns)


def parquet_names(path: Path, name: str) -> tuple[str, ...]:
    """The columns of a Parquet file. Raises DataError where it cannot be read."""
    import pyarrow.parquet

    try:
        return tuple(str(column) for column in pyarrow.parquet.read_schema(path).names)
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(Problem(f"the data set cannot be read: {reason}", name)) from None


def saved_cells(path: Path, name: str, columns: Wanted) -> Iterator[Cells]:
    """The columns of a folder that `datasets.save_to_disk` wrote. Raises DataError as `parquet_cells`."""

    def load() -> Any:
        from datasets import load_from_disk

        return load_from_disk(str(path))

    return _cells(load, name, columns)


def hub_cells(source: HubSplit, name: str, columns: Wanted) -> Iterator[Cells]:
    """The columns of a split of the hub. Raises DataError as `parquet_cells`; runs no code of the hub."""

    def load() -> Any:
        from datasets import load_dataset

        return load_dataset(source.repository, source.config, split=source.split)

    hub.unreachable()  # checked first: the library would try for a minute
    return _cells(load, name, columns, of_the_hub=True)


def _cells(load: Callable[[], Any], name: str, wanted: Wanted, of_the_hub: bool = False) -> Iterator[Cells]:
    try:
        dataset = load()
        header = [str(column) for column in dataset.column_names]
    except ImportError as error:
        raise DataError(Problem(f"{name} needs a package: {error}", do="pip install datasets")) from None
    except Exception as error:  # the border: hub, network, Arrow and file errors share no root
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if of_the_hub:
            problem = hub.not_here("the data set cannot be read", name, "--set data.train=FILE", reason)
        else:
            problem = Problem(f"the data set cannot be read: {reason}", name)
        raise DataError(problem) from error
    columns = chosen(wanted, header, name)
    positions(header, columns, name)
    for column in dict.fromkeys(columns):
        _refuse_damage(dataset, column, name)
    return _rows(dataset, columns, name)


def _refuse_damage(dataset: Any, column: str, name: str) -> None:
    """Raise DataError where the bytes of a column are not what its type says: Arrow trusts offsets and texts as they
    are, and reads beyond its memory where they are wrong.
    """
    import pyarrow

    rows = 0
    try:
        for chunk in dataset.data.column(column).chunks:
            chunk.validate(full=True)
            rows += len(chunk)
    except pyarrow.ArrowException as error:
        where = f"{name} after row {rows:,}" if rows else name
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        do = "write the file anew from its source, with texts in UTF-8"
        raise DataError(Problem(f"the column {column!r} is damaged: {reason}", where, do)) from None


def _rows(dataset: Any, columns: tuple[str, ...], name: str) -> Iterator[Cells]:
    names = [_class_names(dataset.features[column]) for column in columns]
    chosen = dataset.select_columns(list(dict.fromkeys(columns))).with_format(None)
    for column in chosen.column_names:  # an image stays the bytes it is in the table
        if type(chosen.features[column]).__name__ == "Image":
            chosen = chosen.cast_column(column, type(chosen.features[column])(decode=False))
    number = 0
    try:
        for batch in chosen.iter(batch_size=1000):
            for values in zip(*(batch[column] for column in columns), strict=True):
                number += 1
                yield number, tuple(_named(value, known) for value, known in zip(values, names, strict=True))
    except DataError:
        raise
    except Exception as error:  # the border, as above: what a decoder of the library makes of these values
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(Problem(f"the data set cannot be read: {reason}", f"{name} after row {number:,}")) from error


def _class_names(feature: Any) -> list[str] | None:
    inner = getattr(feature, "feature", feature)
    names = getattr(inner, "names", None)
    return list(names) if names else None


def _named(value: Any, names: list[str] | None) -> Any:
    """A ClassLabel's number as its name; -1, by which the hub marks what is unlabelled, as None."""
    if names is None:
        return value
    if isinstance(value, list):
        return [_named(part, names) for part in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None
