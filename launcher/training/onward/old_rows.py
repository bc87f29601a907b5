"""The rows of the run that is gone on from, in the terms of this one: for its old test split, replay and EWC.

What is drawn of them is a function of the recipe's seed and nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from launcher.ancestor import Ancestor, ancestor
from launcher.errors import DataError, LauncherError, Problem, RecipeError
from launcher.recipe.about_images import reads_images
from launcher.recipe.fields import NAMED
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import Pretrained
from launcher.recipe.task import answer_of, plain
from launcher.runs.seals import digest
from launcher.training.batches.order import permutation
from launcher.training.data import Corpus, Row, content_digest, read_corpus
from launcher.training.onward import words
from launcher.training.onward.weights import LISTED, said_of_labels
from launcher.training.sources import IMAGES
from launcher.training.sources.heads import HEADS, same_head

OLD_TEST, OLD_TRAIN = "old_test", "old_train"
"""Splits of prepared data: the earlier run's test rows, and a sample of its training rows."""
SAMPLE = 1000
"""Rows that the Fisher information is taken over, at most."""
REPLAYED, SAMPLED = 7, 8
"""Keys of what is drawn, beside the seed."""


@dataclass
class OldRows:
    """What a run that goes on needs of the one before."""

    corpus: Corpus
    """The new rows, with what is replayed; its labels are those of both runs."""
    more: dict[str, list[Row]] = field(default_factory=dict)
    """Further splits."""
    facts: dict[str, Any] = field(default_factory=dict)
    """For `facts.json`; `lines` are told when the run starts."""


def stamp(recipe: Recipe) -> list[Any]:
    """What the prepared rows depend on of the run that is gone on from."""
    training = recipe.training
    if training.from_run is None:
        return []
    old = ancestor(training.from_run)
    sealed = digest(old.model / "seal.json") if (old.model / "seal.json").is_file() else old.about
    drawn = [training.replay, bool(training.ewc), training.seed] if training.replay or training.ewc else []
    return [sealed, training.with_optimiser, *drawn]


def added(recipe: Recipe, corpus: Corpus, data: str) -> OldRows:
    """The corpus with what the earlier run gives; `data` is the digest of this run's own.

    Raises DataError where old rows are asked for and cannot be read, RecipeError for labels that do not fit.
    """
    training = recipe.training
    if training.from_run is None:
        return OldRows(corpus)
    old = ancestor(training.from_run)
    if (
        same_head(old.recipe.task, recipe.task)
        and answer_of(recipe.task) in NAMED
        and HEADS[plain(recipe.task).head].new
    ):
        corpus = replace(corpus, labels=_labels_of_both(old, corpus.labels))
    lines = [said_of_labels(old, recipe.task, corpus.labels)]
    if training.with_optimiser:
        lines = [f"goes on from the last step of run {old.name}, with its optimiser, schedule and order of rows"]
    made = OldRows(corpus, facts={"run": old.name, "labels": list(old.labels), "lines": lines})
    same_rows = old.about.get("data") == data
    wanted = [name for name in ("replay", "ewc") if getattr(training, name)]
    if same_rows and training.replay:
        what = f"training.replay trains again on rows of run {old.name}, and the data is the same"
        raise RecipeError(Problem(what, "training.replay", "leave training.replay out"))
    if not same_head(old.recipe.task, recipe.task):
        lines.append(f"the test split of run {old.name} is not measured: it is of another task")
        for name in ("replay", "ewc", "lwf"):
            if getattr(training, name):
                what = f"training.{name} holds on to this very task, and run {old.name} was trained for another one"
                raise RecipeError(Problem(what, f"training.{name}", f"leave training.{name} out"))
        return made
    others = [label for label in old.labels if label not in corpus.labels]
    if others and (not same_rows or wanted):
        what = f"the rows of run {old.name} have labels that this task cannot answer with: {', '.join(others[:LISTED])}"
        if wanted:
            raise RecipeError(Problem(what, f"training.{wanted[0]}", f"leave training.{wanted[0]} out"))
        lines.append(f"the test split of run {old.name} is not measured: {what}")
    elif not same_rows or wanted:
        _take(made, recipe, old, wanted, same_rows)
    return made


def _take(made: OldRows, recipe: Recipe, old: Ancestor, wanted: Sequence[str], same_rows: bool) -> None:
    try:
        before = _read(old)
        if before.stream and wanted:
            what = f"training.{wanted[0]} takes rows of run {old.name}, which were a stream"
            raise DataError(Problem(what, f"training.{wanted[0]}", f"leave training.{wanted[0]} out"))
    except (LauncherError, OSError) as error:
        why = error.problems[0].what if isinstance(error, LauncherError) else str(error)
        if wanted:
            what = f"training.{wanted[0]} needs the rows of run {old.name}: {why}"
            raise DataError(Problem(what, f"training.{wanted[0]}", "put them back, or leave it out")) from None
        made.facts["lines"].append(f"the test split of run {old.name} is not measured: {why}")
        return
    training, rows = recipe.training, before.splits["train"][: len(before.splits["train"]) - before.copies]
    if not same_rows:
        made.more[OLD_TEST] = before.splits["test"]
    if training.ewc:
        made.more[OLD_TRAIN] = _drawn(rows, min(SAMPLE, len(rows)), training.seed, SAMPLED)
    if training.replay:
        again = _drawn(rows, max(1, round(training.replay * len(rows))), training.seed, REPLAYED)
        splits = {**made.corpus.splits, "train": [*again, *made.corpus.splits["train"]]}
        made.corpus = replace(made.corpus, splits=splits)
        made.facts["replayed"] = len(again)
        made.facts["lines"].append(f"{len(again):,} of the {len(rows):,} training rows of run {old.name} are replayed")


def _read(old: Ancestor) -> Corpus:
    """Its rows. Raises DataError where they are not what it was trained on."""
    task, then = plain(old.recipe.task), old.about.get("data")
    if then is not None and content_digest(old.recipe.data, task) != then:
        raise DataError(Problem("its data has changed since"))
    return read_corpus(old.recipe.data, task)


def _drawn(rows: Sequence[Row], count: int, seed: int, key: int) -> list[Row]:
    return [rows[number] for number in sorted(permutation(len(rows), seed, key)[:count].tolist())]


def _labels_of_both(old: Ancestor, mine: Sequence[str]) -> tuple[str, ...]:
    """Its labels in their order, then the new ones. Raises DataError where two differ in their spelling alone."""
    spelt = {label.casefold(): label for label in old.labels}
    new = [label for label in mine if label not in old.labels]
    alike = [label for label in new if label.casefold() in spelt]
    if alike:
        what = f"the label {alike[0]!r} is spelt {spelt[alike[0].casefold()]!r} in run {old.name}"
        do = "write it as that run has it, so that it keeps what was learnt of it; or name it otherwise"
        raise DataError(Problem(what, "data", do))
    return (*old.labels, *new)


def build_tokenizer(recipe: Recipe, texts: Iterable[Any], folder: Path) -> int | None:
    """Put the earlier run's tokenizer (or what prepares its images) below `folder`; the longest input.

    Words of the `texts` that its table has no row for are added. None where the source brings its own: of a pretrained
    model it is the model's.
    """
    if recipe.training.from_run is None or isinstance(recipe.embedding, Pretrained):
        return None
    old = ancestor(recipe.training.from_run)
    into = folder / (IMAGES if reads_images(recipe.task) else "tokenizer")
    into.mkdir(parents=True)
    for path in old.model.iterdir():
        if path.is_file() and path.suffix in (".json", ".txt", ".model", ".jinja") and path.name not in OF_MODEL:
            shutil.copyfile(path, into / path.name)
    if words.grows(recipe, old) and not recipe.training.with_optimiser:
        words.grow(recipe, texts, folder)
    wanted = recipe.embedding.max_length
    return min(int(old.about["max_length"]), wanted or int(old.about["max_length"]))


OF_MODEL = frozenset(
    (
        *("config.json", "generation_config.json", "model.safetensors.index.json", "adapter_config.json"),
        *("launcher.json", "seal.json"),
    )
)
"""What in a model's folder is no tokenizer's."""
