"""File names that the files of a model's folder hold, and that are followed when it is loaded: none may lead elsewhere.

Weights come from *.safetensors of the folder itself. An index, a configuration or an adapter could name any other file
instead: a pickle, which runs code when it is loaded, or one outside the folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launcher.errors import DataError, Problem
from launcher.runs.seals import Damaged, read_document

WEIGHTS = ".safetensors"
INDEX = "model.safetensors.index.json"


def refuse_names_that_lead_away(source: str, model: str) -> None:
    """Raise DataError with each name that is not that of a file of its kind in the folder, or of the hub's own."""
    problems = list(_problems(source, model))
    if problems:
        raise DataError(problems)


def _problems(source: str, model: str) -> Iterator[Problem]:
    try:
        index, config = _read(source, INDEX), _read(source, "config.json")
        tokenizer, adapter = _read(source, "tokenizer_config.json"), _read(source, "adapter_config.json")
    except Damaged as error:
        yield Problem(f"{model}: {error}", source, "give a whole folder, as save_pretrained wrote it")
        return
    shards = index.get("weight_map", {})
    named = set(map(str, shards.values())) if isinstance(shards, dict) else {str(shards)}
    do = f"every name must be that of a {WEIGHTS} file beside it: save the model anew with save_pretrained"
    for name in sorted(name for name in named if not _stays(source, name, WEIGHTS))[:3]:
        yield Problem(f"{model}: {INDEX} names {name!r} for weights", source, do)
    explicit = config.get("transformers_weights")
    if explicit is not None and explicit != INDEX and not _stays(source, str(explicit), WEIGHTS):
        yield Problem(f"{model}: config.json names {str(explicit)!r} for weights", source, do)
    others = tokenizer.get("fast_tokenizer_files") or []
    for name in others if isinstance(others, list) else [others]:
        if not _stays(source, str(name), ".json"):
            yield Problem(f"{model}: tokenizer_config.json names {str(name)!r}", source, "take that entry out of it")
    if adapter:
        what = f"{model} is an adapter, or holds one: it would be put on whatever base its adapter_config.json names"
        do = "give the base itself, or merge the two first: merge_and_unload() of the peft library"
        yield Problem(what, source, do)


def _stays(source: str, name: str, ending: str) -> bool:
    """Whether it is the name of such a file, in the folder itself."""
    plain = "/" not in name and "\\" not in name and name.endswith(ending)
    return plain and (not Path(source).is_dir() or (Path(source) / name).is_file())


def _read(source: str, name: str) -> dict[str, Any]:
    """The JSON of that file of a folder or of the hub; empty where there is none. Raises Damaged."""
    if Path(source).is_dir():
        path = Path(source) / name
        return read_document(path) if path.exists() else {}
    from transformers.utils import cached_file

    cached = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    return read_document(Path(cached)) if cached else {}
