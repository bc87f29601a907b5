"""The result: `model/` in the ecosystem's own formats, read back from disk and compared before it counts.

model/
  config.json model.safetensors                      a whole model, where the method added nothing to it, or
  adapter_config.json adapter_model.safetensors      what a PEFT method trained (custom.safetensors: a custom one)
  base/                                              its frozen base, where the base is static vectors
  tokenizer files, launcher.json                     labels, the recipe: all that `predict` needs
  seal.json                                          the digests of all these (`sealed_model`)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn

from launcher.ancestor import FORMAT, refuse_newer
from launcher.errors import BackendError, Problem, WorkerError
from launcher.json_files import write_json
from launcher.model import ABOUT
from launcher.recipe.about_images import reads_images
from launcher.recipe.recipe import Recipe, document, from_document
from launcher.recipe.source import Pretrained
from launcher.runs.publishing import by_umask
from launcher.runs.run_files import read_json
from launcher.training import methods, sources
from launcher.training.batches.split import Split
from launcher.training.data.preparation import Preparation
from launcher.training.model_parts.outputs import Tensors, largest_difference, outputs_of
from launcher.training.onward import weights
from launcher.training.precision import DIVERGED
from launcher.training.read_back import read_back
from launcher.training.result.card import write_card
from launcher.training.sealed_model import checked, is_sealed, put_seal_on
from launcher.training.sources import bases, cut_choice
from launcher.training.tasks import work_for
from launcher.training.tasks.base import Reader, TaskWork
from launcher.training.tasks.collate import Batches

TOLERANCE = 1e-5
PROOF_ROWS = 32


@dataclass
class SavedModel:
    """A model read back from a run folder, on the CPU in evaluation mode, with what is needed to use it."""

    model: nn.Module
    reader: Reader
    recipe: Recipe
    data: str | None = None
    """Digest of the data that it was trained and tested on."""
    seal: Mapping[str, Any] = field(default_factory=dict)
    """What its seal says: the digests of its files."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """What its task chose on the validation split."""

    @cached_property
    def work(self) -> TaskWork:
        """Its task at work."""
        return work_for(self.recipe.task, self.reader).settled_by(self.chosen)

    @property
    def labels(self) -> list[str]:
        """In the order of the model's outputs."""
        return list(self.reader.labels)


def save_model(
    model: nn.Module,
    recipe: Recipe,
    labels: Sequence[str],
    prepared: Path,
    max_length: int,
    folder: Path,
    built_on: bases.Bases | None = None,
    chosen: Mapping[str, Any] | None = None,
) -> None:
    """Write the model folder beside `folder` and put it there in one rename. Raises WorkerError on a full disk."""
    staging = folder.with_name(f".{folder.name}.{os.getpid()}")
    method = methods.method_work(recipe.peft)
    try:
        for left in folder.parent.glob(f".{folder.name}.*"):
            shutil.rmtree(left)  # of an attempt that was killed
        shutil.copytree(prepared / (sources.IMAGES if reads_images(recipe.task) else "tokenizer"), staging)
        if not method.saves_whole and not isinstance(recipe.embedding, Pretrained):
            torch.manual_seed(recipe.training.seed)
            base = weights.base_model(recipe, labels, prepared)
            base.save_pretrained(staging / "base")
        method.save(model, staging)
        facts = read_json(prepared / "facts.json")
        if facts.get("cut"):  # `predict` cuts as the rows were
            recipe = cut_choice.settled(recipe, facts["cut"]["tokens"])
        write_card(model, recipe, labels, facts, staging)
        about = {"recipe": document(recipe), "labels": list(labels), "max_length": max_length, "format": FORMAT}
        about["data"] = facts["data"]
        about |= {"chosen": dict(chosen)} if chosen else {}
        write_json(staging / ABOUT, about)
        by_umask(staging)
        beside = isinstance(recipe.embedding, Pretrained) and not method.saves_whole
        put_seal_on(staging, {"format": 1, "base": dict(built_on or {}) if beside else {}})
        shutil.rmtree(folder, ignore_errors=True)
        staging.rename(folder)
    except (OSError, SafetensorError) as error:
        raise WorkerError(
            Problem(f"the model could not be saved: {error}", str(folder), "make room and resume the run")
        ) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def load_saved_model(folder: Path) -> SavedModel:
    """The model that `save_model` wrote. Raises BackendError where there is none, or a file of it is damaged."""
    if not is_sealed(folder):
        raise BackendError(Problem("the run has no saved model", str(folder), "let the run finish first"))
    seal = checked(folder)
    about = read_json(folder / ABOUT)
    refuse_newer(about, folder)
    recipe, labels = from_document(about["recipe"]), [str(label) for label in about["labels"]]
    model = read_back(folder, recipe, labels, seal)
    images = Preparation.load(folder) if reads_images(recipe.task) else None
    reader = Reader(labels, sources.tokenizer_in(folder) if images is None else None, int(about["max_length"]), images)
    return SavedModel(model.eval(), reader, recipe, about.get("data"), seal, about.get("chosen") or {})


def prove(
    model: nn.Module,
    folder: Path,
    split: Split,
    rows: np.ndarray,
    batches: Batches,
    trained: Tensors | None,
) -> dict[str, Any]:
    """Read the saved model back; compare its trained weights bit by bit, and outputs on `rows` in fp32 on the CPU.

    `trained` are the outputs of the model as it was trained, where these can be compared exactly enough.
    Returns the proof for the outcome; raises WorkerError when a weight or an output differs by more than 1e-5.
    """
    if len(rows) == 0:
        raise WorkerError(Problem("there is no row to prove the saved model with"))
    saved = load_saved_model(folder)
    inputs = {name: value.cpu() for name, value in batches(split, rows).inputs.items()}
    names = [name for name in batches.work.outputs if name not in batches.work.choices]
    model = model.cpu().eval()
    with torch.inference_mode():
        here, there = outputs_of(model, inputs, names), outputs_of(saved.model, inputs, names)
    if not all(values.isfinite().all() for values in here.values()):  # checked first: NaN is not equal to itself
        raise WorkerError(Problem("the model answers with NaN or infinity: its training has diverged", do=DIVERGED))
    weights = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    read_back = dict(saved.model.named_parameters())
    wrong = [name for name, value in weights if name not in read_back or not torch.equal(value, read_back[name])]
    if wrong or not weights:
        what = f"{len(wrong)} of {len(weights)} trained tensors are not as they were saved: " + ", ".join(wrong[:3])
        raise WorkerError(Problem(what, str(folder), "the run's checkpoints are kept; please report this"))
    difference = largest_difference(here, there)
    from_training = None if trained is None else largest_difference({n: trained[n] for n in names}, there)
    if not max(difference, from_training or 0.0) <= TOLERANCE:
        raise WorkerError(
            Problem(
                "the model read back from disk differs from the trained one: "
                f"largest logit difference {max(difference, from_training or 0.0):g}",
                str(folder),
                "the run's checkpoints are kept; please report this",
            )
        )
    return {
        "rows": len(rows),
        "trained_tensors": len(weights),
        "largest_logit_difference": difference,
        "largest_logit_difference_from_training": from_training,
        "tolerance": TOLERANCE,
        "files": saved.seal["files"],
    }
