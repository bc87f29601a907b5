"""Adapters into the weights that they stand beside, of one run or of several: `launcher merge`.

The outputs are compared before a merged folder counts. Several runs of one base and the same labels become one model by
what each changed of the base (task vectors, Ilharco et al. 2023, arXiv 2212.04089): added up by weights, or by TIES
(Yadav et al. 2023, arXiv 2306.01708), tensor by tensor. Their new layers become their weighted mean.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from launcher.errors import DataError, LauncherError, Problem, RecipeError, WorkerError
from launcher.json_files import read_json, write_json
from launcher.model import ABOUT, called
from launcher.recipe.method import Full
from launcher.recipe.recipe import Recipe, document
from launcher.runs.publishing import staged
from launcher.training import methods, sources
from launcher.training.batches.split import TOKENS
from launcher.training.methods import layers
from launcher.training.model_parts.outputs import Tensors, largest_difference, outputs_of
from launcher.training.read_back import base_beside
from launcher.training.result import inference
from launcher.training.result.card import front
from launcher.training.result.markdown import code, row
from launcher.training.result.model_folder import SavedModel, load_saved_model
from launcher.training.sealed_model import CARD, SEAL, put_seal_on
from launcher.training.sources.border import quiet
from launcher.training.sources.heads import same_head

TOLERANCE = 1e-4
"""Of the largest output: what weights that were added up may differ from the sum of two products."""
SHAPES = ((4, 16), (1, 5), (2, 1))
"""Rows and tokens of what the outputs are compared on."""
ADAPTER_FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "custom.safetensors",
    SEAL,
    CARD,
    "base",
)


@dataclass(frozen=True)
class Mix:
    """How several runs become one."""

    weights: tuple[float, ...]
    by: Literal["linear", "ties"] = "linear"
    density: float = 0.2
    """TIES: the part of a tensor's changes that is kept, the largest of them."""


def merge(folders: Sequence[Path], output: Path, mix: Mix) -> dict[str, Any]:
    """Write the merged model to `output`; what was written, for `launcher merge`.

    Raises RecipeError for runs that cannot be merged, BackendError for damaged ones, WorkerError where the merged model
    answers otherwise.
    """
    models = [load_saved_model(folder) for folder in folders]
    if problems := [*_refused(models, folders), *_unlike(models, folders)]:
        raise RecipeError(problems)
    asked = _questions(models[0])
    wholes = [_whole(saved, folder) for saved, folder in zip(models, folders, strict=True)]
    told: dict[str, Any] = {"folder": str(output), "runs": [str(folder) for folder in folders]}
    if len(models) == 1:
        told["largest_difference"] = _compared(models[0], wholes[0], asked)
    else:
        base = base_beside(folders[0], models[0].recipe, models[0].labels, models[0].seal)
        added = sources.new_modules(base)
        _mix(wholes, methods.method_work(models[0].recipe.peft).base_to_merge(base, added), added, mix)
        told |= {"by": mix.by, "weights": list(mix.weights), **({"density": mix.density} if mix.by == "ties" else {})}
    merged = replace(models[0], model=wholes[0], recipe=replace(models[0].recipe, peft=Full()))
    try:
        _write(merged, models, folders[0], output, told)
    except OSError as error:
        raise DataError(Problem(f"the model cannot be written: {error}", str(output))) from None
    return told


def _refused(models: Sequence[SavedModel], folders: Sequence[Path]) -> list[Problem]:
    problems = []
    for saved, folder in zip(models, folders, strict=True):
        peft = saved.recipe.peft
        if methods.method_work(peft).saves_whole:
            do = "use it as it is: it has no adapter"
            problems.append(Problem(f"a model trained by {peft.kind} is whole already", str(folder), do))
        elif not peft.merges:
            what = f"what {peft.kind} adds stands beside the weights and cannot be put into them"
            problems.append(Problem(what, str(folder), "use the run as it is"))
    return problems


def _unlike(models: Sequence[SavedModel], folders: Sequence[Path]) -> list[Problem]:
    """What of the further runs is not as in the first one."""
    problems = []
    first = models[0]
    for saved, folder in zip(models[1:], folders[1:], strict=True):
        where = str(folder)
        if not same_head(saved.recipe.task, first.recipe.task):
            what = f"its task is {saved.recipe.task.kind}, and that of the first run {first.recipe.task.kind}"
            problems.append(Problem(what, where, "merge runs of one task"))
        elif saved.labels != first.labels:
            here, there = (", ".join(labels[:5]) for labels in (saved.labels, first.labels))
            what = f"its labels are {here}, and those of the first run {there}"
            problems.append(Problem(what, where, "merge runs with the same labels"))
        if saved.recipe.peft.in_four_bits != first.recipe.peft.in_four_bits:
            what = "one of it and the first run was trained beside the base in 4 bits, which is another base"
            problems.append(Problem(what, where, "merge runs of the same method, or QLoRA's by themselves"))
        elif _base(saved) != _base(first):
            what = "it was not trained on the base of the first run"
            problems.append(Problem(what, where, "merge adapters of one base: the same model, revision and files"))
    return problems


def _base(saved: SavedModel) -> Any:
    """What an adapter stands beside, by its content."""
    own = {name: about for name, about in saved.seal["files"].items() if name.startswith("base/")}
    return own or list(saved.seal.get("base", {}).values())


def _whole(saved: SavedModel, folder: Path) -> nn.Module:
    """The model with its adapter in the weights, in fp32; a base in 4 bits as the weights that these bits stand for."""
    base = base_beside(folder, saved.recipe, saved.labels, saved.seal)
    method = methods.method_work(saved.recipe.peft)
    return into_weights(method.load_to_merge(base, sources.new_modules(base), folder), saved.recipe.peft.kind)


def into_weights(adapted: Any, kind: str) -> nn.Module:
    """A peft model's base with what the method added in its weights; changed in place. Raises WorkerError."""
    try:
        whole: nn.Module = adapted.merge_and_unload(safe_merge=True)
    except (ValueError, NotImplementedError) as error:
        what = f"what {kind} added cannot be put into the model's weights: {error}"
        raise WorkerError(Problem(what, do="please report this with the recipe")) from None
    return whole.eval()


def _questions(saved: SavedModel) -> list[Tensors]:
    """Inputs of several shapes, of random tokens or pixels."""
    made: list[Tensors] = []
    random = torch.Generator().manual_seed(0)
    for rows, length in SHAPES:
        inputs, _ = saved.work.sample(rows, length)
        inputs = dict(inputs)
        for name, values in inputs.items():
            if name == TOKENS:
                inputs[name] = torch.randint(len(saved.work.tokenizer), values.shape, generator=random)
            elif values.is_floating_point():
                inputs[name] = torch.rand(values.shape, generator=random)
        made.append(inputs)
    return made


def _answers(saved: SavedModel, model: nn.Module, asked: Sequence[Tensors]) -> list[Tensors]:
    names = [name for name in saved.work.outputs if name not in saved.work.choices]
    with torch.inference_mode():
        return [outputs_of(model, inputs, names) for inputs in asked]


def _compared(saved: SavedModel, model: nn.Module, asked: Sequence[Tensors]) -> float:
    """The largest difference of an output. Raises WorkerError where it is more than rounding."""
    apart, scale = 0.0, 1.0
    for before, after in zip(_answers(saved, saved.model, asked), _answers(saved, model, asked), strict=True):
        apart = max(apart, largest_difference(before, after))
        scale = max(scale, *(float(values.abs().max()) for values in before.values()))
    if not apart <= TOLERANCE * scale:
        what = f"the merged model answers otherwise: largest difference of an output {apart:g}, outputs up to {scale:g}"
        raise WorkerError(Problem(what, do="nothing was written; please report this with the recipe"))
    return apart


@torch.no_grad()
def _mix(wholes: Sequence[nn.Module], base: nn.Module, new_modules: Sequence[str], mix: Mix) -> None:
    """Make the first model what all of them are together."""
    start = dict(base.named_parameters())
    others = [dict(model.named_parameters()) for model in wholes]
    for name, into in wholes[0].named_parameters():
        values = [parameters[name] for parameters in others]
        if layers.is_inside(name, new_modules):
            into.copy_(linear(values, mix.weights) / sum(mix.weights))
            continue
        changes = [value - start[name] for value in values]
        into.copy_(start[name] + (linear(changes, mix.weights) if mix.by == "linear" else ties(changes, mix)))


def linear(changes: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The changes added up by their weights."""
    return torch.stack([weight * change for weight, change in zip(weights, changes, strict=True)]).sum(0)


def ties(changes: Sequence[Tensor], mix: Mix) -> Tensor:
    """Of each change its largest part; of each number the mean of those whose sign is that of their sum."""
    kept = torch.stack([w * _largest(change, mix.density) for w, change in zip(mix.weights, changes, strict=True)])
    agree = (kept.sign() == kept.sum(0).sign()) & (kept != 0)
    return (kept * agree).sum(0) / agree.sum(0).clamp(min=1)


def _largest(change: Tensor, density: float) -> Tensor:
    count = max(1, round(density * change.numel()))
    least = change.abs().flatten().kthvalue(change.numel() - count + 1).values
    return torch.where(change.abs() >= least, change, 0.0)


def _write(merged: SavedModel, models: Sequence[SavedModel], folder: Path, output: Path, told: dict[str, Any]) -> None:
    """A model folder of our own, read back before it is put in its place; into `told` how it answers."""
    with staged(output) as staging:
        ignored = shutil.ignore_patterns(*ADAPTER_FILES)
        shutil.copytree(folder, staging, ignore=ignored, dirs_exist_ok=True)
        model: Any = merged.model
        with quiet():
            model.save_pretrained(staging)
        about = {**read_json(staging / ABOUT), "recipe": document(merged.recipe)}
        write_json(staging / ABOUT, about)
        put_seal_on(staging, {"format": 1, "base": {}})
        there = load_saved_model(staging)
        _read_back(merged, there, output)
        if len(models) > 1:
            told["scores"] = [_scores(one, there) for one in models]
        (staging / SEAL).unlink()
        write_json(staging / ABOUT, {**about, "merged": _lineage(models, told)})
        (staging / CARD).write_text(_card(merged.recipe, _lineage(models, told)), encoding="utf-8")
        put_seal_on(staging, {"format": 1, "base": {}})


def _read_back(merged: SavedModel, there: SavedModel, output: Path) -> None:
    """Raise WorkerError where a weight on the disk is not the merged one, bit by bit."""
    weights = dict(there.model.named_parameters())
    wrong = [n for n, p in merged.model.named_parameters() if n not in weights or not torch.equal(p, weights[n])]
    if wrong:
        what = f"{len(wrong)} tensors of the merged model are not as they were saved: {', '.join(wrong[:3])}"
        raise WorkerError(Problem(what, str(output), "nothing was kept; please report this"))


def _lineage(models: Sequence[SavedModel], told: Mapping[str, Any]) -> dict[str, Any]:
    names = [called(Path(run)) for run in told["runs"]]
    kinds = " and ".join(dict.fromkeys(one.recipe.peft.kind for one in models))
    method = {"method": kinds, "base": dict(models[0].seal.get("base", {}))}
    return {**told, "runs": names, **method, "dequantised": models[0].recipe.peft.in_four_bits}


def _card(recipe: Recipe, lineage: Mapping[str, Any]) -> str:
    runs = ", ".join(map(code, lineage["runs"]))
    base = ", ".join(map(code, lineage["base"])) or "static vectors"
    lines = [
        front(recipe),
        f"# {recipe.task.kind}, merged",
        "",
        f"What {lineage['method']} trained in {runs}, put into the weights of its base: {base}.",
    ]
    if lineage["dequantised"]:
        lines.append("The base had been in 4 bits; its weights here are those that these bits stand for, not its own.")
    if "by" in lineage:
        lines.append(f"Merged by {lineage['by']}, weights {', '.join(f'{weight:g}' for weight in lineage['weights'])}.")
        lines += ["", row("on the test split of", "metric", "its own model", "merged"), "|---|---|---|---|"]
        for name, score in zip(lineage["runs"], lineage["scores"], strict=True):
            numbers = [f"{score[of]:.4f}" if of in score else "not looked at" for of in ("own", "merged")]
            lines.append(row(code(name), score["metric"], *numbers))
    else:
        lines.append(f"Largest difference of an output from the run's own: {lineage['largest_difference']:.1e}.")
    return "\n".join(
        [*lines, "", '`launcher predict FOLDER "…"` answers; `launcher.json` has the recipe and the labels.', ""]
    )


def _scores(one: SavedModel, merged: SavedModel) -> dict[str, Any]:
    """The run's own metric on its test split, and the merged model's there; or why it could not be computed."""
    metric = str(one.recipe.training.select_by)
    try:
        own = inference.evaluate(one, None)[metric]
        return {
            "metric": metric,
            "own": own,
            "merged": inference.evaluate(replace(one, model=merged.model), None)[metric],
        }
    except LauncherError as error:
        return {"metric": metric, "why": str(error)}
