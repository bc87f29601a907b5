"""What a model is built on, by its content: the files of a folder or a package, or a revision on the hub.

A run that goes on, and a saved model that holds only what was added to its base, must find the same base again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, DataError, Problem, WorkerError
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import Embedding, Pretrained
from launcher.runs.seals import differing, digests
from launcher.training import hub
from launcher.training.sealed_model import checked_as_base, is_sealed
from launcher.training.sources.reference import OF_RUN, source_folder

READ = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""Endings of what is read of a model's folder."""
HUB_FILES = [f"*{ending}" for ending in READ]

Bases = Mapping[str, Any]
"""`{name: {"files": {file: digest}} or {"revision": commit}}`, the names as the recipe writes them."""


def of_model(embedding: Embedding) -> Bases:
    """The pretrained model's, where it is one. Raises BackendError for a run's own saved model with a damaged file.

    A copy of one that differs from what was saved is only noted: people change copies on purpose, disks do not.
    """
    if not isinstance(embedding, Pretrained):
        return {}
    return {name: of_name(name) for name in (embedding.model, embedding.decoder) if name is not None}


def of_recipe(recipe: Recipe) -> Bases:
    """The same, with the run that is gone on from, under `run:NAME`."""
    run = recipe.training.from_run
    return {**of_model(recipe.embedding), **({} if run is None else {OF_RUN + run: of_name(OF_RUN + run)})}


def of_name(name: str) -> dict[str, Any]:
    """One model's: `{"files": {file: digest}}`, or `{"revision": commit}` of one on the hub."""
    folder = Path(source_folder(name))
    if not folder.is_dir():
        return {"revision": _revision(name)}
    if is_sealed(folder) and (fault := checked_as_base(folder)):
        print(f"note: {folder} is not as a run saved it: {fault}; it is taken as it is", file=sys.stderr, flush=True)
    names = sorted(path.name for path in folder.iterdir() if path.suffix in READ and path.is_file())
    return {"files": digests(folder, names)}


def of_files(names: Iterable[str]) -> Bases:
    """Those of the files that static vectors come from."""
    paths = {name: Path(source_folder(name)) for name in names}
    return {name: {"files": digests(path.parent, [path.name])} for name, path in paths.items() if path.is_file()}


def refuse_others(recipe: Recipe, then: Bases) -> None:
    """Raise WorkerError where the pretrained model, or the run gone on from, is not the one of the plan."""
    now = of_recipe(recipe)
    if changed := differing({name: then[name] for name in now if name in then}, now):
        what = f"the base has changed since the run was planned: {changed}"
        raise WorkerError(Problem(what, do="put it back as it was and resume the run, or start a new one"))


def same_base(embedding: Pretrained, then: Bases) -> Pretrained:
    """The source of the base that a model was trained on. Raises BackendError where that one is not here any more.

    The tokenizer does not count: a saved model has its own. From the hub exactly that revision is taken.
    """
    decoder = None if embedding.decoder is None else _same(embedding.decoder, then)
    return replace(embedding, model=_same(embedding.model, then), decoder=decoder)


def _same(name: str, then: Bases) -> str:
    trained_on = then.get(name)
    if trained_on is None:  # it was saved before that was recorded
        return name
    revision = trained_on.get("revision")
    if revision is not None and not Path(source_folder(name)).exists():
        return _snapshot(name, str(revision))
    changed = differing({name: _weights(trained_on)}, {name: _weights(of_name(name))})
    if changed:
        what = f"the base is another one than this model was trained on: {changed}"
        do = "put the base back as it was, or train again on the one that is there"
        raise BackendError(Problem(what, name, do))
    return name


def _weights(base: Mapping[str, Any]) -> dict[str, Any]:
    files = base.get("files", {})
    kept = {n: d for n, d in files.items() if n == "config.json" or ".safetensors" in n}
    return {**base, "files": kept}


def _revision(name: str) -> str | None:
    """The commit that the hub's name means here and now; None where that is unknown."""
    from transformers.utils import cached_file

    hub.unreachable()
    try:
        path = cached_file(name, "config.json", _raise_exceptions_for_missing_entries=False)
    except OSError:  # loading the model reports what is wrong with it
        return None
    return Path(path).parent.name if path else None


def _snapshot(name: str, revision: str) -> str:
    """The folder of that revision, fetched where it is not in the hub's cache."""
    from huggingface_hub import snapshot_download

    hub.unreachable()
    try:
        return str(snapshot_download(name, revision=revision, allow_patterns=HUB_FILES))
    except (OSError, ValueError) as error:
        what = f"revision {revision} of {name}, on which this model was trained, was not found"
        reason = str(error).strip().partition("\n")[0]
        raise DataError(hub.not_here(what, "", f"hf download {name} --revision {revision}", reason)) from None
