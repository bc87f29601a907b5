"""What happens between reading and training: repeated rows are dropped, missing splits are cut. All deterministic."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from launcher.errors import DataError, Problem
from launcher.recipe.data import Data
from launcher.recipe.fields import FREE, Kind
from launcher.training.data import marks
from launcher.training.data.examples import Row

Key = str | tuple[str, ...]


def text_key(row: Row) -> Key:
    """What makes two texts (or pairs) the same: all characters but the white space around them, and the entities."""
    if row.image is not None:
        return row.image.digest
    if not isinstance(row.text, str):
        return row.text
    if entities := [f"{span.start}:{span.end}" for span in marks.entities_of(row)]:
        return row.text, *entities
    return row.text.strip() if row.pair is None else (row.text.strip(), row.pair.strip())


def labels_by_text(rows: Iterable[Row]) -> dict[Key, set[str | tuple[str, ...]]]:
    """Every different text with the labels it has."""
    labels: dict[Key, set[str | tuple[str, ...]]] = {}
    for row in rows:
        labels.setdefault(text_key(row), set()).add(row.label)
    return labels


def without_duplicates(
    rows: list[Row], given: list[list[Row]], answer: Kind = "label"
) -> tuple[list[Row], dict[str, int]]:
    """The first of each repeated row, no text under different labels, none that a given split holds.

    Also how many rows were dropped, by reason. Different numbers of one text are no contradiction: both rows stay.
    """
    labels = labels_by_text(rows)
    elsewhere = {text_key(row) for split in given for row in split}
    kept: list[Row] = []
    seen: set[tuple[Key, float | str | tuple[str, ...]]] = set()
    dropped = {"repeated": 0, "conflicting": 0, "in_a_given_split": 0}
    for row in rows:
        key = text_key(row)
        if answer not in FREE and len(labels[key]) > 1:
            dropped["conflicting"] += 1
        elif key in elsewhere:
            dropped["in_a_given_split"] += 1
        elif (key, said := float(str(row.label)) if answer == "number" else row.label) in seen:
            dropped["repeated"] += 1
        else:
            seen.add((key, said))
            kept.append(row)
    return kept, dropped


def few(data: Data, train: list[Row]) -> list[Row]:
    """`data.shots` rows of each label, drawn at random, in the order of the file; all where there are no more."""
    order = list(range(len(train)))
    random.Random(f"shots {data.split_seed}").shuffle(order)
    counts: Counter[str | tuple[str, ...]] = Counter()
    kept = []
    for index in order:
        counts[train[index].label] += 1
        if data.shots is None or counts[train[index].label] <= data.shots:
            kept.append(index)
    return [train[index] for index in sorted(kept)]


def cut(data: Data, splits: dict[str, list[Row]]) -> tuple[dict[str, list[Row]], dict[str, int]]:
    """All three splits, the missing ones cut at random from train, and how many rows each cut took.

    The test split is cut first, so it stays the same where only `validation_size` changes; a fraction for the
    validation split is one of what then remains. Rows keep the order of the file. Raises DataError where
    nothing is left to train on.
    """
    train = splits["train"]
    order = list(range(len(train)))
    random.Random(data.split_seed).shuffle(order)
    made = dict(splits)
    sizes: dict[str, int] = {}
    taken = 0
    for name, size in (("test", data.test_size), ("validation", data.validation_size)):
        if name in splits:
            continue
        count = size if isinstance(size, int) else max(1, round(size * (len(order) - taken)))
        made[name] = [train[index] for index in sorted(order[taken : taken + count])]
        sizes[name] = count
        taken += count
    if taken >= len(train):
        wanted = " and ".join(f"{count:,} for {name}" for name, count in sizes.items())
        what = f"cutting {wanted} leaves nothing of the {len(train):,} usable rows of train"
        raise DataError(Problem(what, do="set smaller data.validation_size and data.test_size"))
    made["train"] = [train[index] for index in sorted(order[taken:])]
    return {name: made[name] for name in ("train", "validation", "test")}, sizes
