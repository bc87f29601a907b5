"""Read, check and tokenise a recipe's data once, before any rank exists; cached by content.

A prepared folder is complete when its `facts.json` exists, which has the digests of the other files:

    facts.json                       rows, labels, lengths, findings: all that the light wing needs
    tokenizer/                       as the tokenizer library saves it; of images
    image_processor/                 how they are prepared
    {train,validation,test}.safetensors    rows (batches.split_file); of a stream train is a sample
    stream.json                      what a stream is read from (data.stream_source)
    vectors.safetensors              initial static vectors, where the source has them
    subwords.safetensors             which rows of them make each token's vector, where subwords do
    {ngrams,lexicon}.safetensors     what stands beside its table knows
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from launcher.errors import DataError, LauncherError, Problem, RecipeError
from launcher.host.this_user import cache_folder as cache_folder
from launcher.host.turns import alone
from launcher.json_files import write_json
from launcher.recipe.about_images import reads_images
from launcher.recipe.recipe import Recipe, document
from launcher.recipe.source import Embedding, Encoded, FromConfig, Mixture, Pretrained
from launcher.recipe.task import answer_of, is_custom, labels_of, plain, template_of_chats
from launcher.recipe.user_file import Custom
from launcher.runs.publishing import by_umask
from launcher.training import sources
from launcher.training.batches.split import Split
from launcher.training.data import Corpus, content_digest, read_corpus
from launcher.training.data.shared_cache import believed, place_for, seal
from launcher.training.data.stream_corpus import about
from launcher.training.onward import old_rows
from launcher.training.sources import (
    bases,
    cut_choice,
    embedding_sizes,
    language_model,
    load_tokenizer,
    unknown_tokens,
)
from launcher.training.tasks import work_for
from launcher.training.tasks.base import Encoded as EncodedRows
from launcher.training.tasks.base import Reader, TaskWork
from launcher.training.tasks.blocks import encoded_to

FORMAT = 15
"""Raised when what is written here changes its meaning."""
SPLITS = ("train", "validation", "test")
STREAM = "stream.json"


def prepare(recipe: Recipe) -> dict[str, Any]:
    """The facts of the recipe's data (see the module), prepared now unless the cache has them.

    Raises DataError with all problems of all files together.
    """
    try:
        data = content_digest(recipe.data, plain(recipe.task))
        folder = cache_folder() / "prepared" / _digest(recipe, data)[:20]
    except LauncherError:
        _corpus(recipe)  # a file or the model is missing: this tells what is wrong with the others too
        raise
    try:
        return _kept(recipe, data, folder)
    except OSError as error:
        do = "make room there, or set RECIPE_LAUNCHER_CACHE to a folder that can be written"
        raise DataError(Problem(f"prepared data cannot be kept in {cache_folder()}: {error}", do=do)) from error


def _kept(recipe: Recipe, data: str, folder: Path) -> dict[str, Any]:
    """The facts in `folder`, written there first unless they are there; `data` is the digest of the data's content."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder = place_for(folder)
    with alone(folder.with_suffix(".lock")):
        facts, _ = believed(folder)
        if facts is not None:
            return {**facts, "folder": str(folder), "cached": True}
        shutil.rmtree(folder, ignore_errors=True)
        scratch = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            scratch.mkdir()
            facts = {"data": data, **_write(recipe, _corpus(recipe), scratch, data)}
            by_umask(scratch)
            seal(scratch, facts)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return {**facts, "folder": str(folder), "cached": False}


def _corpus(recipe: Recipe) -> Corpus:
    """Raises DataError with all that is wrong with the data, and with it what does not suit the model."""
    try:
        return read_corpus(recipe.data, plain(recipe.task))
    except DataError as error:
        raise DataError([*error.problems, *_unsuited_without_data(recipe)]) from None


def _unsuited_without_data(recipe: Recipe) -> Sequence[Problem]:
    """What a tokenizer that needs no rows says of the task."""
    if not isinstance(recipe.embedding, Pretrained) or reads_images(recipe.task) or is_custom(recipe.task):
        return ()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            max_length = sources.build_tokenizer(recipe.embedding, recipe.task, (), folder)
            work = work_for(recipe.task, reader_of(labels_of(recipe.task) or (), max_length, folder))
            return [*_unsuited_model(recipe), *work.problems()]
        except LauncherError as error:
            return error.problems


def _write(recipe: Recipe, corpus: Corpus, folder: Path, data: str) -> dict[str, Any]:
    """Tokenise every split into `folder`; return the facts."""
    old = old_rows.added(recipe, corpus, data)
    corpus = old.corpus
    texts = _texts(recipe, corpus)
    cut = None
    if cut_choice.is_open(recipe):
        cut = cut_choice.chosen(recipe, texts[: len(texts) - corpus.copies])
        recipe = cut_choice.settled(recipe, cut.tokens)
    others = (row.sentence for name in SPLITS if name != "train" for row in corpus.splits[name])
    max_length = old_rows.build_tokenizer(recipe, texts, folder)
    begins = max_length is not None  # with a model that has its own vectors, and all that stands beside them
    if max_length is None:
        max_length = sources.build_tokenizer(recipe.embedding, recipe.task, texts, folder, others)
    work = work_for(recipe.task, reader_of(corpus.labels, max_length, folder))
    unsuited = [*_unsuited_model(recipe), *work.problems()]
    if unsuited:
        raise RecipeError(unsuited)
    corpus.report["warnings"] += work.warnings()
    facts: dict[str, Any] = {
        "labels": list(corpus.labels),
        "max_length": max_length,
        "rows": {},
        "examples": {},
        "truncated": {},
        "lost": {},
        "tokens": {},
        "report": corpus.report,
        **{"source": sources.told_of(folder), "vectors": sources.lines_of(folder)},
        "base": {} if isinstance(recipe.embedding, Pretrained) else bases.of_files(_named(recipe.embedding)),
        "cut": cut and {"tokens": cut.tokens, "line": cut.line},
    }
    for name in SPLITS:
        encoded = encoded_to(folder / f"{name}.safetensors", work, corpus.splits[name])
        split = encoded.split
        _refuse_nothing(name, encoded)
        if name == "train":
            facts["source"] |= {} if begins else sources.save_beside(recipe.embedding, split, folder)
            facts |= _of_stream(corpus, split, folder)
        facts["rows"][name] = split.rows
        facts["examples"][name] = split.examples
        facts["truncated"][name] = int(encoded.truncated.sum())
        facts["lost"][name] = dict(encoded.lost)
        facts["tokens"][name] = _lengths(split.cost)
        if name == "validation" and not reads_images(recipe.task):
            corpus.report["warnings"] += unknown_tokens.warnings_of(
                recipe, split, load_tokenizer(folder), corpus.splits[name]
            )
    return facts | _of_old(old, work, folder)


def _texts(recipe: Recipe, corpus: Corpus) -> list[sources.Sentence]:
    """Those of the training split."""
    texts = [row.sentence for row in corpus.splits["train"]]
    if answer_of(recipe.task) in ("target", "passage"):  # a tokenizer that is trained learns from both sides
        texts += [target for row in corpus.splits["train"] for target in row.labels]
    return texts


def _refuse_nothing(name: str, encoded: EncodedRows) -> None:
    """Raise DataError where no row of a split can be read."""
    if not encoded.split.rows and encoded.left_out:
        lost = ", ".join(f"{n:,} {why.replace('_', ' ')}" for why, n in encoded.lost.items())
        raise DataError(
            Problem(f"nothing of {name} is left: {lost}", do="raise embedding.max_length, or look at the data")
        )


def _of_old(old: old_rows.OldRows, work: TaskWork, folder: Path) -> dict[str, Any]:
    """Write the rows of the run that is gone on from, where they are needed; what the facts tell of it."""
    made = {name: encoded_to(folder / f"{name}.safetensors", work, rows) for name, rows in old.more.items()}
    rows = {name: encoded.split.rows for name, encoded in made.items()}
    return {"onward": {**old.facts, "rows": rows}} if old.facts else {}


def _of_stream(corpus: Corpus, sample: Split, folder: Path) -> dict[str, Any]:
    """Write what a stream is read from; what the facts tell of it. Nothing of a corpus that is held."""
    if not corpus.stream:
        return {}
    write_json(folder / STREAM, [dataclasses.asdict(source) for source in corpus.stream])
    return {"stream": about(corpus.stream, corpus.splits["train"], sample.rows)}


def cut_evaluation(recipe: Recipe, facts: dict[str, Any], rows: int, folder: Path) -> dict[str, Any]:
    """The same prepared data in `folder`, but validation and test end after `rows` rows; its facts."""
    source, folder = Path(facts["folder"]), folder.resolve()
    corpus = read_corpus(recipe.data, plain(recipe.task))
    counts, examples = dict(facts["rows"]), dict(facts["examples"])
    cut = [name for name in SPLITS if name != "train" and facts["examples"][name] > rows]
    names = {name: f"{name}.safetensors" for name in cut}
    folder.mkdir(parents=True)
    for path in source.iterdir():
        if path.name not in ("facts.json", *names.values()):
            (folder / path.name).symlink_to(path.resolve())
    work = work_for(recipe.task, reader_of(corpus.labels, facts["max_length"], source))
    for name, file_name in names.items():
        split = encoded_to(folder / file_name, work, corpus.splits[name][:rows]).split
        counts[name], examples[name] = split.rows, split.examples
    facts = {**facts, "rows": counts, "examples": examples, "folder": str(folder)}
    seal(folder, facts)
    return facts


def _unsuited_model(recipe: Recipe) -> Iterator[Problem]:
    if isinstance(recipe.embedding, Pretrained):
        yield from language_model.wrong_kind(recipe.embedding, plain(recipe.task))
    if isinstance(recipe.embedding, Pretrained | FromConfig):
        yield from embedding_sizes.too_large(recipe.embedding, plain(recipe.task))


def reader_of(labels: Sequence[str], max_length: int, folder: Path) -> Reader:
    """What the task of the data prepared in this folder reads by."""
    if (folder / sources.IMAGES).is_dir():
        return Reader(labels, None, max_length, sources.load_preparation(folder))
    return Reader(labels, sources.load_tokenizer(folder), max_length)


def _lengths(lengths: np.ndarray) -> dict[str, float]:
    if not len(lengths):
        return {"sum": 0}
    return {
        "sum": int(lengths.sum()),
        "mean": round(float(lengths.mean()), 2),
        "median": int(np.median(lengths)),
        "p95": int(np.percentile(lengths, 95)),
        "longest": int(lengths.max()),
    }


def _digest(recipe: Recipe, data: str) -> str:
    """Of all that decides the prepared files: the data's content, task, source (not its encoder), versions."""
    values = document(recipe)
    values["embedding"].pop("encoder", None)
    if not values["embedding"].get("new_tokens"):
        values["embedding"].pop("new_tokens", None)
    told = [
        FORMAT,
        data,
        values["task"],
        values["embedding"],
        [metadata.version(name) for name in ("tokenizers", "transformers", "fasttext-community", "jieba")],
    ]
    told += [_stamp(Path(sources.source_folder(name))) for name in _named(recipe.embedding)]
    told += old_rows.stamp(recipe)
    if (template := template_of_chats(recipe.task)) is not None:
        told += [_stamp(Path(sources.source_folder(template)))]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _named(embedding: Embedding) -> list[str]:
    """What the source reads besides the data; a file of the user's own is in the recipe with its text."""
    fields: tuple[str, ...] = ("model", "decoder", "config", "file", "stop_words")
    if isinstance(embedding, Custom):
        fields = ("model", "stop_words")
    names = [getattr(embedding, field, None) for field in fields]
    beside = [name for noun in embedding.beside for name in noun.reads] if isinstance(embedding, Encoded) else []
    inner = [name for source in embedding.sources for name in _named(source)] if isinstance(embedding, Mixture) else []
    return [*(name for name in names if isinstance(name, str)), *beside, *inner]


def _stamp(source: Path) -> list[Any]:
    """Names, sizes and times of a local source's files; empty for a name on the hub."""
    files = sorted(source.iterdir()) if source.is_dir() else [source] if source.is_file() else []
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
