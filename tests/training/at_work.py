"""Tasks at work without a run: on labels and a tokenizer that a test gives, and splits made by hand."""

import numpy as np

from launcher.training.batches.split import Ragged, Split
from launcher.training.tasks import work_for
from launcher.training.tasks.base import Kept, Reader


def work_of(task, labels=("a", "b"), tokenizer=None, max_length=512):
    return work_for(task, Reader(labels, tokenizer, max_length))


def ragged(rows, dtype=np.int64):
    return Ragged.of(rows, dtype)


def split_of(ids, targets=1, **columns):
    """Rows of these token ids; `columns` beside them are lists (ragged) or arrays."""
    tokens = ragged(ids, np.int32)
    more = {name: ragged(rows) if isinstance(rows, list) else np.asarray(rows) for name, rows in columns.items()}
    counts = np.full(len(ids), targets) if isinstance(targets, int) else np.array(targets)
    return Split({"input_ids": tokens, **more}, {"loss": counts}, tokens.lengths, np.arange(len(ids)))


def texts_of(labels):
    """Texts of one token with these class numbers, or yes and no for each label."""
    return split_of([[5]] * len(labels), labels=np.array(labels))


def predicted(values, **details):
    """What an evaluation kept: `values` by row, and details of every row."""
    rows = len(values.offsets) - 1 if isinstance(values, Ragged) else len(values)
    return Kept({"predicted": values}, details, np.arange(rows))


def same(one, other):
    """Whether two columns hold the same, in the same types."""
    if isinstance(one, Ragged) or isinstance(other, Ragged):
        return type(one) is type(other) and same(one.values, other.values) and same(one.offsets, other.offsets)
    return one.dtype == other.dtype and np.array_equal(one, other)
