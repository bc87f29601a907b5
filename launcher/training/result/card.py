"""The model card of a saved model: README.md, as the hub shows it, with the recipe's own labels and base.

peft writes a form with nothing filled in, a base by the path of this machine, and no labels.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from torch import nn

from launcher.json_files import read_json, write_json
from launcher.recipe.about_images import reads_images
from launcher.recipe.noun import given_fields
from launcher.recipe.recipe import Recipe, document
from launcher.recipe.source import FromConfig, Pretrained, Static
from launcher.recipe.task import plain
from launcher.training import methods
from launcher.training.data.preparation import Preparation
from launcher.training.model_parts.sparse_table import base_of
from launcher.training.result.markdown import code, row
from launcher.training.sources.heads import HEADS

ADAPTER = "adapter_config.json"
MOST_LABELS = 50
"""Of more only these are named: launcher.json has them all."""


def write_card(
    model: nn.Module, recipe: Recipe, labels: Sequence[str], prepared: Mapping[str, Any], folder: Path
) -> None:
    """README.md; beside an adapter of peft's also config.json, and the base as the recipe names it.

    `prepared` are the facts of the data. `card_of_run.complete` adds what is known once the run ends.
    """
    named = recipe.embedding.model if isinstance(recipe.embedding, Pretrained) else "base"
    if (folder / ADAPTER).is_file():
        write_json(folder / ADAPTER, {**read_json(folder / ADAPTER), "base_model_name_or_path": named})
        base_of(model).config.save_pretrained(folder)
    card = front(recipe, named) + _text(recipe, labels, prepared, named, folder)
    (folder / "README.md").write_text(card, encoding="utf-8")


def front(recipe: Recipe, named: str = "/") -> str:
    """What the hub reads of a card; `named` is the base, if it is one of the hub's."""
    front: dict[str, Any] = {"pipeline_tag": HEADS[plain(recipe.task).head].pipeline, "tags": ["recipe-launcher"]}
    front["library_name"] = "transformers" if methods.method_work(recipe.peft).saves_whole else "peft"
    if isinstance(recipe.embedding, Pretrained) and not named.startswith((".", "/", "~", "package:")):
        front["base_model"] = named
    return f"---\n{yaml.safe_dump(front, sort_keys=True)}---\n\n"


def _text(recipe: Recipe, labels: Sequence[str], prepared: Mapping[str, Any], named: str, folder: Path) -> str:
    values = document(recipe)
    rows = ", ".join(f"{count:,} for {name}" for name, count in prepared.get("rows", {}).items())
    source = code(named) if isinstance(recipe.embedding, Pretrained) else recipe.embedding.kind
    if isinstance(recipe.embedding, Static) and not methods.method_work(recipe.peft).saves_whole:
        source += ", in `base/`"
    source = "its configuration" if isinstance(recipe.embedding, FromConfig) else source
    lines = [
        f"# {plain(recipe.task).kind} on {code(_named(values['data'].get('train')))}",
        "",
        f"Trained with recipe-launcher: {recipe.task.kind}, {recipe.peft.kind}, from {source}.",
        "",
        "| | |",
        "|---|---|",
        *([row("labels", _shown(labels))] if labels else []),
        row("rows", rows),
        _input(recipe, prepared, folder),
        row("method", _settings(recipe.peft)),
        row("training", _settings(recipe.training)),
    ]
    return "\n".join([*lines, "", "## Use", "", *_use(recipe, named, folder), ""])


def _shown(labels: Sequence[str]) -> str:
    named = ", ".join(code(label) for label in labels[:MOST_LABELS])
    return named if len(labels) <= MOST_LABELS else f"{len(labels):,}: {named} and others"


def _input(recipe: Recipe, prepared: Mapping[str, Any], folder: Path) -> str:
    """What the model takes: so many tokens, or images of this size, and how they were prepared."""
    if not reads_images(recipe.task):
        return row("longest input", f"{prepared.get('max_length')} tokens")
    image = Preparation.load(folder)
    how = "resized" if image.shorter is None else f"resized to a shorter side of {image.shorter}, the middle taken"
    size = f"{image.width} x {image.height} pixels"
    return row("images", f"{size}, {how} (Pillow), as `preprocessor_config.json` says")


def _named(train: Any) -> str:
    """The training data by the names of its files."""
    several = train.values() if isinstance(train, Mapping) else train if isinstance(train, list | tuple) else [train]
    return ", ".join(PurePosixPath(str(one)).name for one in several if one) or "data"


def _settings(noun: Any) -> str:
    """The object as the recipe writes it: the fields that are not as they are by default, and the learning rate."""
    usual = {field.name: field.default for field in dataclasses.fields(noun)}
    given = {name: value for name in given_fields(noun) if (value := getattr(noun, name)) != usual[name]}
    if hasattr(noun, "learning_rate"):
        given["learning_rate"] = noun.learning_rate
    return code(f"{noun.kind}({', '.join(f'{name}={value!r}' for name, value in sorted(given.items()))})")


def _use(recipe: Recipe, named: str, folder: Path) -> list[str]:
    head = HEADS[plain(recipe.task).head]
    auto, ours = head.auto_name, head.imported_from
    given, reads = ("photo.jpg", "AutoImageProcessor") if reads_images(recipe.task) else ("a text", "AutoTokenizer")
    reader = "processor" if reads_images(recipe.task) else "tokenizer"
    lines = ["```python", "import launcher", f'launcher.predict("RUN", ["{given}"])  # the run that this folder is in']
    body = []
    if (folder / ADAPTER).is_file() and isinstance(recipe.embedding, Pretrained):
        lines += [
            "",
            *_imports(ours, auto, "AutoConfig", reads),
            "from peft import PeftModel",
            "",
            'config = AutoConfig.from_pretrained("FOLDER")  # this folder: the labels are in it',
            f"base = {auto}.from_pretrained({json.dumps(named)}, config=config)",
            'model = PeftModel.from_pretrained(base, "FOLDER")',
            f'{reader} = {reads}.from_pretrained("FOLDER")',
        ]
    elif not isinstance(recipe.embedding, Static) and methods.method_work(recipe.peft).saves_whole:
        lines += [
            "",
            *_imports(ours, auto, reads),
            "",
            f'model = {auto}.from_pretrained("FOLDER")  # this folder',
            f'{reader} = {reads}.from_pretrained("FOLDER")',
        ]
        if head.is_own:
            body = ["", "The head needs recipe-launcher; transformers alone loads the body: `AutoModel`."]
    return [*lines, "```", *body]


def _imports(source: str, auto: str, *others: str) -> list[str]:
    """Of the class that loads the model, and of what comes with transformers."""
    if source == "transformers":
        return [f"from transformers import {', '.join(sorted([auto, *others]))}"]
    return [f"from transformers import {', '.join(sorted(others))}", f"from {source} import {auto}"]
