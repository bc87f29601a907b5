"""What a model takes of memory, without its weights: its tensors, and what a micro-batch of any shape adds to them.

A pretrained model is built from its configuration on tensors without data, so that a folder with a config.json
and a tokenizer is enough, whatever the size. Of many equal layers only two and three are traced: between these
the bytes grow by one layer, and so they go on growing. Static models are small and are traced for real, because
the tensorless LSTM does not know what the real one keeps for its backward pass.
"""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily

from launcher.errors import LauncherError, PlanError, Problem, ran_out_of_memory
from launcher.host.turns import alone
from launcher.plan.memory import WORD
from launcher.recipe.about_images import trains_batch_norm
from launcher.recipe.language_data import streams
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import Encoded, Static
from launcher.recipe.task import plain
from launcher.runs.seals import write_sealed
from launcher.training import sources
from launcher.training.batches.split import Split
from launcher.training.initial_model import initial_model
from launcher.training.memory import meta_model
from launcher.training.memory.layer_series import extended
from launcher.training.memory.meta_four_bit import BITS, apply_without_data
from launcher.training.memory.model_bound import FORMAT, facts_file, known_facts
from launcher.training.memory.trace import Traced, trace, trace_rows
from launcher.training.methods import method_work
from launcher.training.model_parts import batch_norm
from launcher.training.model_parts.dropout import set_dropout
from launcher.training.model_parts.layer_list import Series
from launcher.training.model_parts.one_thread import one_thread
from launcher.training.model_parts.packing import pack
from launcher.training.model_parts.recompute import recompute
from launcher.training.model_parts.sparse_table import TrainedRows, compact, sparse_table
from launcher.training.model_parts.units import units
from launcher.training.onward.weights import base_model
from launcher.training.prepare import reader_of
from launcher.training.steps import fgm
from launcher.training.tasks import work_for
from launcher.training.tasks.base import TaskWork

FEW, MORE = 2, 3
"""Layers that are traced of a model with more."""
ROWS, REAL_ROWS = (1, 2, 4, 8, 16, 64), (2, 6)
"""Of the traced micro-batches; fewer where they are really computed."""
FEW_ROWS, MOST_TOKENS = 4, 16_384
"""More rows than the first are not traced where they hold more tokens: there all grows evenly, and it takes long."""
CHECKED = 5
"""Rows of a trace with which the lines between the others are compared."""


def model_facts(recipe: Recipe, prepared: dict[str, Any]) -> dict[str, Any]:
    """The facts (`launcher.plan.memory` reads them), from the cache beside the prepared data or computed now.

    `prepared` is what `prepare` returned. Raises DataError and PlanError as building the model does. Of a model that
    cannot be traced without data there is one fact, `unknown`: why.
    """
    path = facts_file(recipe, Path(prepared["folder"]))
    known = known_facts(path)
    if known is not None:
        return known
    with alone(path.with_suffix(".lock")):
        facts = known_facts(path) or _facts_or_reason(recipe, prepared)
        write_sealed(path, facts)
    return dict(facts)


def _facts_or_reason(recipe: Recipe, prepared: dict[str, Any]) -> dict[str, Any]:
    """The facts, or why there are none: a model whose computation depends on tensor values can still be trained."""
    try:
        return _facts(recipe, prepared)
    except LauncherError:
        raise
    except Exception as error:  # the border: whatever the code of any architecture does with tensors without data
        if ran_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0]
        return {"unknown": f"{type(error).__name__}: {reason}" if reason else type(error).__name__}


def _facts(recipe: Recipe, prepared: dict[str, Any]) -> dict[str, Any]:
    longest = max(int(facts.get("longest", 0)) for facts in prepared["tokens"].values()) or int(prepared["max_length"])
    state = torch.random.get_rng_state()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True) as without_data:
            model = _hollow(recipe, prepared, None, without_data)
            counts = {
                "total": sum(_weights(p) for p in model.parameters()),
                "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
            }
            held = WORD * sum(_words(p) for p in model.parameters())
            held += sum(b.numel() * b.element_size() for b in model.buffers())
            _compacted(model, recipe, prepared)
            about = _tensors(model, _rows_alone(recipe, prepared))
        traced, layers = _traced(recipe, prepared, model, longest, without_data)
    finally:
        torch.random.set_rng_state(state)
    positions = {name: number for number, (name, _) in enumerate(model.named_parameters())}
    return {
        "format": FORMAT,
        "parameters": counts,
        **about,
        "anchored": bool(recipe.training.ewc),
        "other_model": held if recipe.training.lwf else 0,
        "precision": recipe.training.precision,
        "rows": list(traced.rows),
        "backward": [
            [positions[name], *peak.tolist(), *rest.tolist()]
            for name, peak, rest in zip(traced.order, traced.peaks, traced.rests, strict=True)
        ],
        "evaluation": traced.evaluation.tolist(),
        "traced": {"layers": layers, "longest": longest, "worst_error": round(traced.worst_error, 4)},
    }


def _tensors(model: nn.Module, rows_alone: bool) -> dict[str, Any]:
    """Every parameter in the model's order: rows, elements, whether it trains, the unit that gathers it (or -1).

    `rows_alone`: whether the rows of a table that a batch names travel by themselves.
    """
    unit_of: dict[int, int] = {}
    idle = []
    frozen_rests = {id(module.rest) for module in model.modules() if isinstance(module, TrainedRows)}
    for number, unit in enumerate(units(model)):
        for parameter in unit.parameters():
            unit_of.setdefault(id(parameter), number)
        if id(unit) in frozen_rests:
            idle.append(number)
    parameters = list(model.named_parameters())
    table = sparse_table(model) if rows_alone else None
    return {
        "tensors": [[_rows(p), _words(p), int(p.requires_grad), unit_of.get(id(p), -1)] for _, p in parameters],
        "idle_units": idle,
        "table": next((n for n, (_, p) in enumerate(parameters) if table and p is table[1].weight), None),
        "buffers": sum(b.numel() * b.element_size() for b in model.buffers()),
    }


def _packed(parameter: torch.Tensor) -> bool:
    return parameter.dtype == torch.uint8


def _rows(parameter: torch.Tensor) -> int:
    """What is cut among ranks: rows of the first dimension."""
    return _words(parameter) if _packed(parameter) else parameter.shape[0] if parameter.ndim else 1


def _words(parameter: torch.Tensor) -> int:
    """Elements of 4 bytes; what is packed into bytes counts as so many of them."""
    return math.ceil(parameter.numel() / WORD) if _packed(parameter) else parameter.numel()


def _weights(parameter: torch.Tensor) -> int:
    return round(parameter.numel() * 8 / BITS) if _packed(parameter) else parameter.numel()


def _traced(
    recipe: Recipe, prepared: dict[str, Any], model: nn.Module, longest: int, without_data: FakeTensorMode
) -> tuple[Traced, str]:
    """What micro-batches of the whole model take, and in words which layers were traced."""
    precision, packed = recipe.training.precision, recipe.training.packing
    work = _work(recipe, prepared)
    if isinstance(recipe.embedding, Static):
        _refuse_too_large(recipe, sum(p.numel() for p in model.parameters()))
        with one_thread():
            real = initial_model(recipe, _labels(prepared), Path(prepared["folder"]))
            _compacted(real, recipe, prepared)
            run = partial(trace, real, precision=precision, work=work)
            return trace_rows(run, REAL_ROWS, longest, CHECKED), "all, for real"
    rows = [count for count in ROWS if count <= FEW_ROWS or count * longest <= MOST_TOKENS]

    def traced(part: nn.Module) -> Traced:
        run = partial(trace, part, precision=precision, work=work, packed=packed)
        return trace_rows(run, rows, longest, CHECKED)

    with without_data:
        whole = Series.of(model)
        parts = _short(recipe, prepared, without_data) if whole.layers > MORE else []
        if [Series.of(part).layers for part in parts] == [FEW, MORE]:
            two, three = (traced(part) for part in parts)
            names = [name for name, p in model.named_parameters() if p.requires_grad]
            extrapolated = extended(two, three, Series.of(parts[1]), whole, names)
            if extrapolated is not None:
                return extrapolated, f"{FEW} and {MORE} of {whole.layers}, the others extrapolated"
        return traced(model), "all"


def _refuse_too_large(recipe: Recipe, weights: int) -> None:
    """Raise PlanError where the model cannot be built here with its gradients, which tracing it for real takes."""
    here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if 2 * 4 * weights > here:
        what = f"the model has {weights:,} weights, which take {4 * weights / 1e9:,.1f} GB, and as much for gradients"
        what += f"; this machine has {here / 1e9:,.1f} GB"
        do = "make embedding.dimension smaller"
        if isinstance(recipe.embedding, Encoded):
            do += f", or the {recipe.embedding.encoder.kind} that is its encoder"
        raise PlanError(Problem(what, do=do))


def _short(recipe: Recipe, prepared: dict[str, Any], without_data: FakeTensorMode) -> list[nn.Module]:
    """The model with few layers and with one more; none where there is no such model, or the method needs more."""
    try:
        return [_compacted(_hollow(recipe, prepared, count, without_data), recipe, prepared) for count in (FEW, MORE)]
    except Exception:  # a configuration may refuse any other number
        return []


def _hollow(recipe: Recipe, prepared: dict[str, Any], layers: int | None, without_data: FakeTensorMode) -> nn.Module:
    """The model as training holds it, without data, of the configuration's layers or of this many."""
    dropout, folder = recipe.training.dropout, Path(prepared["folder"])
    # peft moves what it adds, and tensors without data cannot be moved unless they are on no device
    with unset_fake_temporarily(), torch.device("meta"):
        if not isinstance(recipe.embedding, Static):
            base = meta_model.build_hollow(
                recipe.embedding, plain(recipe.task), _labels(prepared), folder, dropout, layers
            )
        else:
            base = base_model(recipe, _labels(prepared), folder)
        batch_norm.settle(base, trains_batch_norm(recipe.task))
        model = apply_without_data(base, recipe.peft, sources.new_modules(base))
    if dropout is not None:
        set_dropout(model, dropout)
    if recipe.training.packing:
        pack(model)
    if recipe.training.recompute:
        recompute(model, keep_generators=False)
    _onto_cpu(model, without_data)
    return model


def _onto_cpu(model: nn.Module, without_data: FakeTensorMode) -> None:
    """Tensors that claim to be on the CPU, so that operations choose their kernels as in training."""
    made: dict[int, torch.Tensor] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if id(parameter) not in made:
                value = FakeTensor(without_data, parameter.detach().to("meta"), torch.device("cpu"))
                made[id(parameter)] = nn.Parameter(value, requires_grad=parameter.requires_grad)
            setattr(module, name, made[id(parameter)])
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = FakeTensor(without_data, buffer.detach().to("meta"), torch.device("cpu"))


def _compacted(model: nn.Module, recipe: Recipe, prepared: dict[str, Any]) -> nn.Module:
    if _rows_alone(recipe, prepared):
        folder = Path(prepared["folder"])
        padding = sources.load_tokenizer(folder).pad_token_id or 0
        compact(model, Split.load(folder / "train.safetensors").token_ids, int(padding))
    if recipe.training.fgm is not None:
        fgm.as_planned(model)
    return model


def _rows_alone(recipe: Recipe, prepared: dict[str, Any]) -> bool:
    """Whether the rows of a table that a batch names train and travel by themselves, as `training/rank.py` decides."""
    any_token = streams(recipe.data) or _work(recipe, prepared).feeds_any_token
    return not (method_work(recipe.peft).lives or recipe.training.ewc or any_token)


def _work(recipe: Recipe, prepared: dict[str, Any]) -> TaskWork:
    with unset_fake_temporarily():
        return work_for(
            recipe.task, reader_of(_labels(prepared), int(prepared["max_length"]), Path(prepared["folder"]))
        )


def _labels(prepared: dict[str, Any]) -> list[str]:
    return [str(label) for label in prepared["labels"]]
