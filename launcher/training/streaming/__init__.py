"""Rows of corpora that are larger than memory and disk caches, read while the model trains.

rows_for        what a loop trains on, of a prepared split as of a stream
account_of      what of a stream was read
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from launcher.json_files import read_json
from launcher.plan.plan import Plan
from launcher.recipe.data import Texts
from launcher.recipe.recipe import Recipe
from launcher.training.batches.rows import PreparedRows, RowSource
from launcher.training.batches.split import Split
from launcher.training.data import Row
from launcher.training.data.shard_reading import Document
from launcher.training.data.stream_source import StreamSource
from launcher.training.distributed.world import World
from launcher.training.prepare import STREAM, reader_of
from launcher.training.report.report import Report
from launcher.training.streaming.stream import Stream, StreamedRows
from launcher.training.tasks import work_for
from launcher.training.tasks.base import TaskWork, encoded


def rows_for(recipe: Recipe, plan: Plan, train: Split, work: TaskWork, world: World) -> RowSource:
    """The rows of a run's steps. `train` has them all, or a sample of what is streamed; `work` says their targets."""
    training, prepared = recipe.training, Path(plan.prepared)
    if plan.steps_per_epoch is not None:
        return PreparedRows(
            split=train,
            targets=work.targets,
            batch_size=training.batch_size,
            micro_batch_size=plan.micro_batch_size,
            seed=training.seed,
            steps_per_epoch=plan.steps_per_epoch,
            rank=world.rank,
            world_size=world.size,
        )
    facts = read_json(prepared / "facts.json")
    of_thread = work_for(recipe.task, reader_of(facts["labels"], facts["max_length"], prepared))

    def encode(documents: list[Document]) -> Split:
        return encoded(of_thread, [Row(document.text, "", document.where) for document in documents]).split

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each lane keeps a file open
    assert isinstance(recipe.data, Texts)
    stream = Stream(
        sources=tuple(map(StreamSource.from_document, read_json(prepared / STREAM))),
        batch_size=training.batch_size,
        seed=training.seed,
        passes=training.epochs,
        skip_faulty=recipe.data.faulty == "skip",
        encode=encode,
        losses=tuple(train.targets),
        targets=work.targets,
    )
    return StreamedRows(stream, world, plan.micro_batch_size, train)


def account_of(rows: RowSource, report: Report) -> dict[str, Any] | None:
    """What of each source of a stream was read, told, and given for the outcome. A collective."""
    if not isinstance(rows, StreamedRows):
        return None
    if rows.ended:
        report.note(rows.ended)
    account = rows.account()
    for name, source in account.items():
        skipped = f", {source['skipped']:,} of them faulty and left out" if source["skipped"] else ""
        report.say(f"stream {name}: {source['documents']:,} documents read{skipped}")
    rows.close()
    return account
