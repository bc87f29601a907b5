"""Saved models of one recipe side by side: how far apart their trained weights lie."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from launcher.errors import Problem, WorkerError
from launcher.runs.run_files import read_json
from launcher.training.initial_model import initial_model
from launcher.training.result.model_folder import load_saved_model

Weights = dict[str, torch.Tensor]


def compare(prepared: Path, folders: list[Path]) -> list[dict[str, float]]:
    """For each model but the first: the `largest` difference of one trained weight from the first model's, and the
    `distance` between both as a part of the distance that the first went in training.

    Raises WorkerError where a model lacks a trained tensor. One model at a time is in memory besides the weights.
    """
    saved = load_saved_model(folders[0])
    labels = read_json(prepared / "facts.json")["labels"]
    begun = {
        name: parameter.detach().clone()
        for name, parameter in initial_model(saved.recipe, labels, prepared).named_parameters()
        if parameter.requires_grad
    }
    first = _trained(dict(saved.model.named_parameters()), begun, folders[0])
    del saved
    went = _length(first, begun)
    differences = []
    for folder in folders[1:]:
        other = _trained(dict(load_saved_model(folder).model.named_parameters()), begun, folder)
        largest = max(float((other[name] - first[name]).abs().max()) for name in first)
        apart = _length(other, first)
        differences.append({"largest": largest, "distance": apart / went if went else apart})
    return differences


def _trained(parameters: dict[str, torch.nn.Parameter], wanted: Weights, folder: Path) -> Weights:
    missing = sorted(wanted.keys() - parameters.keys())
    if missing:
        raise WorkerError(Problem(f"the saved model lacks {', '.join(missing[:3])}", str(folder)))
    return {name: parameters[name].detach().clone() for name in wanted}


def _length(left: Weights, right: Weights) -> float:
    return math.sqrt(sum(float((left[name] - right[name]).double().square().sum()) for name in left))
