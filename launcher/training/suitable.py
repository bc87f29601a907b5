"""Whether a pretrained model suits the recipe, checked before anything starts: it has a head for the task and the parts
that the method names, its files are whole, and every token has a row.

The model is built without data. A good verdict is kept beside the prepared data, so the check runs once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from launcher.errors import DataError, LauncherError, PlanError, Problem
from launcher.json_files import read_json, write_json
from launcher.recipe.about_images import reads_images
from launcher.recipe.recipe import Recipe, document
from launcher.recipe.source import Pretrained, Static
from launcher.recipe.task import plain
from launcher.training.batches.split import Split
from launcher.training.model_parts.word_names import RIGHT
from launcher.training.sources import limits, load_preparation
from launcher.training.sources.bodies import name_of, own_config
from launcher.training.sources.border import at_the_border
from launcher.training.sources.heads import HEADS, refuse_headless
from launcher.training.sources.pretrained_tokenizer import plain_tokenizer
from launcher.training.sources.reference import source_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LISTED = 3
SPLITS = ("train", "validation", "test")


def look(recipe: Recipe, prepared: dict[str, Any]) -> None:
    """Raise PlanError with all that is wrong between the recipe's model, task and method; nothing for static vectors.

    A problem's `where` is the recipe's field.
    """
    if isinstance(recipe.embedding, Static):
        return
    folder = Path(prepared["folder"])
    path = _verdict(recipe, folder)
    if read_json(path) is not None:
        return
    if problems := [*_in_files(recipe, prepared), *_one_document(recipe, prepared)]:
        raise PlanError(problems)
    if not _has_every_head(recipe):  # BERT and RoBERTa have all new heads of texts: torch need not be imported here
        _build(recipe, folder, [str(label) for label in prepared["labels"]])
    write_json(path, {"suits": True})


def _in_files(recipe: Recipe, prepared: dict[str, Any]) -> Iterator[Problem]:
    """What the files of a pretrained model show without building it."""
    embedding, folder = recipe.embedding, Path(prepared["folder"])
    if isinstance(embedding, Pretrained):
        source = source_folder(embedding.model)
        yield from _unread(Path(source), embedding.model)
        if not reads_images(recipe.task):
            yield from _without_rows(embedding, source, folder)
            yield from _without_positions(recipe, source, prepared)


def _one_document(recipe: Recipe, prepared: dict[str, Any]) -> Iterator[Problem]:
    """Next sentences of a corpus without other documents."""
    if plain(recipe.task).head == "pretraining" and prepared["examples"]["train"] < 2:
        what = "half of the second sentences are another document's, and train has one document"
        yield Problem(what, "task.next_sentence", "leave it out, or say where documents end: data.documents")


def _has_every_head(recipe: Recipe) -> bool:
    embedding = recipe.embedding
    if reads_images(recipe.task) or not isinstance(embedding, Pretrained):
        return False
    return plain_tokenizer(Path(source_folder(embedding.model))) is not None and HEADS[plain(recipe.task).head].new


def _verdict(recipe: Recipe, folder: Path) -> Path:
    values = document(recipe)
    versions = [metadata.version(name) for name in ("torch", "transformers", "peft")]
    key: list[Any] = [values["embedding"], values["peft"], versions]
    key += ["packing"] if recipe.training.packing else []
    return folder / f"suits-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]}.json"


def _unread(source: Path, model: str) -> Iterator[Problem]:
    """Files of weights that cannot be weights, by their headers."""
    for path in sorted(source.glob("*.safetensors")) if source.is_dir() else ():
        try:
            with safe_open(path, "np"):
                pass
        except (SafetensorError, OSError) as error:
            what = f"the model {model} cannot be loaded: {path.name}: {str(error) or type(error).__name__}"
            do = "its weights are damaged or were not fetched; in a clone of a repository: git lfs pull"
            yield Problem(what, "embedding.model", do)


def _without_rows(embedding: Pretrained, source: str, folder: Path) -> Iterator[Problem]:
    """Tokens that the tokenizer may give and the model's table has no row for.

    The padding's may lie beyond: another one replaces it (`padding.choose`), unless a text holds it.
    """
    from launcher.training.sources import load_tokenizer

    with at_the_border(embedding.model):
        rows = limits.limits(source, plain_tokenizer(Path(source)) is not None).rows
        padding = limits.file_values(source, "tokenizer_config.json").get("pad_token")
    if rows is None:
        return
    ids = load_tokenizer(folder).get_vocab()
    rows = max([rows, *(ids[token] + 1 for token in embedding.new_tokens)])
    beyond = sorted((number, token) for token, number in ids.items() if number >= rows)
    padding = padding.get("content") if isinstance(padding, dict) else padding
    if [token for _, token in beyond] in ([], [padding]) and _largest(folder) < rows:
        return
    names = ", ".join(token for _, token in beyond[:LISTED]) + (", …" if len(beyond) > LISTED else "")
    what = f"the tokenizer of {embedding.model} has {max(ids.values()) + 1:,} tokens, the model's table {rows:,} rows"
    do = (
        "give the model as many rows, once: model.resize_token_embeddings(len(tokenizer)) and "
        "model.save_pretrained(folder); or take these tokens out of the tokenizer"
    )
    yield Problem(f"{what}: there is none for {names}", "embedding.model", do)


def _without_positions(recipe: Recipe, source: str, prepared: dict[str, Any]) -> Iterator[Problem]:
    """Tokens of the method's own that have no place beside those of the longest text."""
    if not recipe.peft.positions:
        return
    there = limits.limits(source, plain_tokenizer(Path(source)) is not None).positions
    longest = max(int(facts.get("longest", 0)) for facts in prepared["tokens"].values())
    if there is not None and longest + recipe.peft.positions > there:
        left = there - recipe.peft.positions
        what = f"{recipe.peft.kind} takes {recipe.peft.positions} of the model's {there} positions, "
        do = f"cut the texts: Pretrained(max_length={left})" if left > 0 else "give peft.tokens fewer"
        yield Problem(f"{what}and the longest text has {longest} tokens", "peft", do)


def _largest(folder: Path) -> int:
    """The largest token number in the prepared data."""
    columns = [Split.load(path).token_ids for path in folder.glob("*.safetensors") if path.stem in SPLITS]
    return max((int(ids.max()) for ids in columns if len(ids)), default=0)


def _build(recipe: Recipe, folder: Path, labels: list[str]) -> None:
    """Build the model without data and apply the method. Raises PlanError for what it lacks."""
    import torch

    from launcher.training.memory import meta_model
    from launcher.training.memory.meta_four_bit import apply_without_data
    from launcher.training.model_parts.packing import packing_of
    from launcher.training.sources import new_modules

    embedding, task, method = recipe.embedding, plain(recipe.task), recipe.peft
    assert not isinstance(embedding, Static)
    with torch.device("meta"):
        try:
            refuse_headless(own_config(embedding), name_of(embedding), task.head)
            built = meta_model.build_hollow(embedding, task, labels, folder, recipe.training.dropout)
            if isinstance(embedding, Pretrained):
                _refuse_other_shapes(built, Path(source_folder(embedding.model)), embedding.model)
            if reads_images(task):
                _refuse_other_images(built, folder, drawn=not isinstance(embedding, Pretrained))
            if task.head == "text to text":
                _refuse_long_targets(built, folder)
        except LauncherError as error:
            raise PlanError(_at("embedding.model", error)) from error
        try:
            model = apply_without_data(built, method, new_modules(built))
        except LauncherError as error:
            raise type(error)(_at("peft", error)) from error
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            what = f"{method.kind} cannot be applied to this {built.config.model_type!r} model: {reason}"
            raise PlanError(Problem(what, "peft", "use Full(), or another model")) from error
        if recipe.training.packing:
            packing_of(model)


def _refuse_long_targets(built: PreTrainedModel, folder: Path) -> None:
    """Raise PlanError for targets that are longer than what the decoder has positions for."""
    from launcher.training.model_parts.positions import of_decoder

    there = of_decoder(built.config)
    if there is None:
        return
    splits = [Split.load(folder / f"{name}.safetensors") for name in SPLITS]
    longest = max(int(split.ragged(RIGHT).lengths.max(initial=0)) for split in splits)
    if longest > there:
        what = f"the longest target has {longest:,} tokens, and the model's decoder {there:,} positions"
        do = f"set it to {there}: what is beyond is cut and counted"
        raise PlanError(Problem(what, "task.max_target_length", do))


def _refuse_other_images(built: PreTrainedModel, folder: Path, drawn: bool) -> None:
    """Raise PlanError where the model cannot take images of the size that they are prepared for; `drawn`: from a
    configuration, whose values may not fit each other.
    """
    import torch

    preparation = load_preparation(folder)
    shape = (1, 3, preparation.height, preparation.width)
    try:
        built.eval()(pixel_values=torch.zeros(shape))
    except Exception as error:  # the border: whatever the code of any architecture finds wrong
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        what = f"this {built.config.model_type!r} model cannot take images of {shape[2]} x {shape[3]} pixels: {reason}"
        do = "leave task.size out, or give the model's own size"
        if drawn:
            do = "look at the values of embedding.config, which may not fit each other, and at task.size"
        raise PlanError(Problem(what, "embedding.config" if drawn else "task.size", do)) from error


def _refuse_other_shapes(built: PreTrainedModel, source: Path, model: str) -> None:
    """Raise DataError where a tensor of the body has another shape in a local folder's files than config.json says."""
    body = built.base_model_prefix + "."
    stored: dict[str, tuple[int, ...]] = {}
    for path in sorted(source.glob("*.safetensors")) if source.is_dir() else ():
        with safe_open(path, "np") as file:
            stored |= {name.removeprefix(body): tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    wrong = [
        f"{name} is {list(stored[short])} and should be {list(parameter.shape)}"
        for name, parameter in built.named_parameters()
        if name.startswith(body) and stored.get(short := name.removeprefix(body), parameter.shape) != parameter.shape
    ]
    if wrong:
        what = f"{model}: the weights do not fit its config.json: {len(wrong)} tensors have another shape, {wrong[0]}"
        raise DataError(Problem(what, do="take a model whose files belong together"))


def _at(where: str, error: LauncherError) -> list[Problem]:
    return [Problem(problem.what, problem.where or where, problem.do) for problem in error.problems]
